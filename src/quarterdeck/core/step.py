"""What goes into the reducer and what comes out: Context and Observation in, Step with events, reply and effects out.

An input is a Command (a client's), an Observation (what a driver, or the server itself, saw) or a Tick (time). Time and
identity come in with it, in its Context, so a replay equals the first run (architecture, decision 3).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from quarterdeck.schema.commands import Command
from quarterdeck.schema.events import StreamEvent
from quarterdeck.schema.types import ErrorCode, JournalState, Rect, ShutdownReason

Source = Literal["client", "witness", "clock", "child", "launcher"]


class Context(Struct, frozen=True, omit_defaults=True):
    """What the reducer may know besides the input (semantics, "What the reducer does").

    `now` RFC 3339 text; `now_ms` monotonic milliseconds since the server started; `conn_id` the connection, for log
    lines; `pid` and `start` the caller's registered pid and its start time, or none (for `register`: the pid it
    registers); `entropy` a u64 drawn for this input.
    """

    now: str
    now_ms: int
    source: Source
    conn_id: int | None = None
    pid: int | None = None
    start: int | None = None
    entropy: int = 0


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


class Tick(Struct, frozen=True, tag=True):
    """Time as an input: the nearest deadline of the state has passed."""


Observation = SyntheticGoodbye | QuitSignalled | ShutdownFinished | JournalReported
Input = Command | Observation | Tick


class Welcome(Struct, frozen=True):
    """Reply to `register`; the server adds what only it knows."""

    client_id: int


class Pong(Struct, frozen=True):
    """Reply to `ping`."""

    nonce: int


class Refused(Struct, frozen=True):
    """Reply: not done, and the state untouched. `fatal` ends the connection."""

    code: ErrorCode
    message: str
    fatal: bool = False


class BeginShutdown(Struct, frozen=True):
    """Effect: tell every client `shutdown`, give children `grace_ms`, then report `ShutdownFinished`."""

    reason: ShutdownReason
    grace_ms: int


class MoveWindow(Struct, frozen=True):
    """Effect: a window should be moved; a witness that may correct does it."""

    hwnd: int
    target: Rect


class Stop(Struct, frozen=True):
    """Effect: flush, close every connection, end."""


StepReply = Welcome | Pong | Refused
Effect = BeginShutdown | MoveWindow | Stop


class Step:
    """The outcome of one input: stream events in order, the reply if there is one, effects to carry out after both
    are out.
    """

    __slots__ = ("effects", "events", "reply")

    def __init__(self, reply: StepReply | None = None) -> None:
        self.events: list[StreamEvent] = []
        self.reply = reply
        self.effects: list[Effect] = []

    def refuse(self, code: ErrorCode, message: str, *, fatal: bool = False) -> Step:
        """Answer with an error. Whoever refuses has changed nothing."""
        self.reply = Refused(code, message, fatal)
        return self
