"""What goes into the reducer and what comes out: Context and Observation in, Step with events, reply and effects out.

An input is a Command (a client's), an Observation (what a driver, or the server itself, saw) or a Tick (time). Time and
identity come in with it, in its Context, so a replay equals the first run (architecture, decision 3).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct, field

from quarterdeck.core.state import ChildPlan
from quarterdeck.schema.commands import AnyCommand
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.types import ErrorCode, JournalState, Rect, ShutdownReason, StageStatus

Source = Literal["client", "witness", "clock", "child", "launcher"]


class Context(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the reducer may know besides the input (semantics, "What the reducer does").

    `now` RFC 3339 text; `now_ms` monotonic milliseconds since the server started; `conn_id` the connection, for log
    lines; `pid` and `start` the caller's registered pid and its start time, or none (for `register`: the pid it
    registers); `entropy` a u64 drawn for this input; `child` the child whose process registers, or whose descendant.
    """

    now: str
    now_ms: int
    source: Source
    conn_id: int | None = None
    pid: int | None = None
    start: int | None = None
    entropy: int = 0
    child: str | None = None


class SyntheticGoodbye(Struct, frozen=True, tag=True):
    """Observation: the process of `ctx.pid` left without a goodbye; the server says it on its behalf (protocol,
    section 3.5).
    """

    reason: Literal["disconnected", "evicted", "exited", "signaled"]
    code: int | None = -1


class QuitSignalled(Struct, frozen=True, tag=True):
    """Observation: the launcher itself was told to end, by a signal."""

    signal: str


class ShutdownFinished(Struct, frozen=True, tag=True):
    """Observation: every client was told and every child is gone; nothing is left but to be dead."""


class JournalReported(Struct, frozen=True, tag=True):
    """Observation: the journal keeps what happens (`ok`), or cannot at present (`failing`)."""

    state: JournalState


class LauncherRestarted(Struct, frozen=True, tag=True):
    """Observation: the last one of a run whose launcher died, made by the next one: who waited waits no more."""


class ConfigurationRead(Struct, frozen=True, tag=True):
    """Observation: the launcher read its configuration anew, and took it (`ok`, or `warn` where a part of it counts
    only from its next start on) or did not (`error`); `detail` says what has changed, or why not.
    """

    pid: int
    path: str
    duration_ms: int
    status: StageStatus
    detail: str


class ChildSpawned(Struct, frozen=True, tag=True):
    """Observation: the guard made a child's process; it waits to be let go."""

    name: str
    pid: int
    start: int | None = None


class ChildAdopted(Struct, frozen=True, tag=True):
    """Observation: a child of an earlier launcher's is alive and ours now; `revision` is that of its plan then."""

    name: str
    pid: int
    start: int | None = None
    revision: str | None = None


class ChildSpawnFailed(Struct, frozen=True, tag=True):
    """Observation: a child's process could not be made, and why."""

    name: str
    why: str


class ChildProbed(Struct, frozen=True, tag=True, omit_defaults=True):
    """Observation: what the plan calls ready was seen of a child: its port, a line of its log, its probe.

    `against`: or what speaks against it, as yet: a stranger has its port.
    """

    name: str
    pid: int
    against: str | None = None


class ChildExited(Struct, frozen=True, tag=True, omit_defaults=True):
    """Observation: a child's process ended, and what it left behind was ended too.

    `code` its exit code, minus the signal's number, or none where it is not known; `output` its last lines; `escaped`
    the processes that it left behind.
    """

    name: str
    pid: int
    code: int | None
    oom: bool = False
    why: str | None = None
    output: str | None = None
    escaped: tuple[str, ...] = ()


class ChildrenConfigured(Struct, frozen=True, tag=True, omit_defaults=True):
    """Observation: the configuration names these processes. Of an earlier launcher's children, `living` live, each of
    which is told as adopted next, and those in `ended` ended by themselves.
    """

    plans: tuple[ChildPlan, ...]
    living: tuple[str, ...] = ()
    ended: tuple[ChildExited, ...] = ()


Found = Literal["alive", "hung", "held", "unknown"]
"""Of a host: `alive`, a window of its answered the window system; `hung`, those that were asked did not; `held`, it is
stopped or debugged, so that it cannot; `unknown`, there is none to be asked, or nobody to ask it.
"""


class HostChecked(Struct, frozen=True, tag=True):
    """Observation: the window system's word on whether a host hangs, and the kernel's on whether it is held."""

    pid: int
    found: Found


class Tick(Struct, frozen=True, tag=True):
    """Time as an input: the nearest deadline of the state has passed."""


Observation = (
    SyntheticGoodbye
    | QuitSignalled
    | ShutdownFinished
    | JournalReported
    | LauncherRestarted
    | ConfigurationRead
    | ChildrenConfigured
    | ChildSpawned
    | ChildAdopted
    | ChildSpawnFailed
    | ChildProbed
    | ChildExited
    | HostChecked
)
Input = AnyCommand | Observation | Tick


class Welcome(Struct, frozen=True):
    """Reply to `register`; the server adds what only it knows."""

    client_id: int


class Pong(Struct, frozen=True):
    """Reply to `ping`."""

    nonce: int


class Refused(Struct, frozen=True):
    """Reply: not done, and the state untouched (but see `slices.Refusal`). `fatal` ends the connection."""

    code: ErrorCode
    message: str
    fatal: bool = False


class BeginShutdown(Struct, frozen=True):
    """Effect: tell every client `shutdown`; children have `grace_ms`. `FinishShutdown` follows once none is left."""

    reason: ShutdownReason
    grace_ms: int


class DirectHost(Struct, frozen=True):
    """Effect: ask the host to do something (protocol, section 7). `client_id` is the host that was live; if it has left
    by now, nobody is asked. Likewise if it is a saga's and the saga has ended, or has `issued` another one since.
    """

    directive: Struct
    client_id: int
    saga_id: int | None = None
    issued: int = 0


class CheckHost(Struct, frozen=True):
    """Effect: have the window system asked whether the host's windows answer; report `HostChecked`."""

    pid: int


class MoveWindow(Struct, frozen=True):
    """Effect: a window should be moved; a witness that may correct does it."""

    hwnd: int
    target: Rect


class SpawnChild(Struct, frozen=True):
    """Effect: make a child's process, and hold it; then report `ChildSpawned` or `ChildSpawnFailed`."""

    name: str
    attempt: int


class ReleaseChild(Struct, frozen=True):
    """Effect: let a child's process begin."""

    name: str
    pid: int


class ReadyChild(Struct, frozen=True):
    """Effect: a child is ready; nobody needs to look for it any more."""

    name: str
    pid: int | None


class SignalChild(Struct, frozen=True):
    """Effect: send a signal to a child's process group."""

    name: str
    pid: int | None
    signal: str


class KillChild(Struct, frozen=True):
    """Effect: kill a child's process and all that descends from it."""

    name: str
    pid: int | None


class FinishShutdown(Struct, frozen=True):
    """Effect: no child is left; report `ShutdownFinished`."""


class Stop(Struct, frozen=True):
    """Effect: flush, close every connection, end."""


StepReply = Welcome | Pong | Refused
Effect = (
    BeginShutdown
    | DirectHost
    | CheckHost
    | MoveWindow
    | SpawnChild
    | ReleaseChild
    | ReadyChild
    | SignalChild
    | KillChild
    | FinishShutdown
    | Stop
)


class Fault(NamedTuple):
    """A rule that broke down: the input's name, and what it raised, for whoever may log it."""

    where: str
    error: BaseException


def fault(where: str, error: BaseException) -> Fault:
    """What broke down there, whatever the application's own code raised: its `sys.exit` ends no launcher.

    Raises: KeyboardInterrupt, which is meant for whoever replays.
    """
    if isinstance(error, KeyboardInterrupt):
        raise error
    return Fault(where, error)


class Commanded(Struct, frozen=True, omit_defaults=True):
    """A command of a slice that a saga issued, and what came of it: the events from version `first` to `last`, none
    where `last` is below `first`; or why it was `refused`.
    """

    saga_id: int
    command: Struct
    first: int
    last: int
    refused: str | None = None


class Step(Struct, eq=False):
    """The outcome of one input: stream events in order, the reply if there is one, effects to carry out after both
    are out; and the faults of rules that broke down over it. `commanded` is what sagas had slices do in it.

    A Struct, since one is made of each command: that takes a third of the time.
    """

    reply: StepReply | None = None
    events: list[AnyEvent] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    faults: tuple[Fault, ...] = ()
    commanded: tuple[Commanded, ...] = ()

    def refuse(self, code: ErrorCode, message: str, *, fatal: bool = False) -> Step:
        """Answer with an error. Whoever refuses has changed nothing, but for what a slice's refusal tells."""
        self.reply = Refused(code, message, fatal)
        return self
