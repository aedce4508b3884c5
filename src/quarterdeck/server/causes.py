"""Causes: why an event was told: the input behind it, who sent it, and the chain back to where it began.

Most chains have one link: a client's command. Time passing is no cause of its own: behind it stands the step that set
the deadline. Likewise behind the launcher's end stands what asked for it, and behind a child's start its configuration,
its back-off or a client. What stands behind an input is one table, by the input's name; what it does not name is where
a chain begins, told by `Origin`.

Inputs and events are read as plain members, so that journals of other versions can be explained, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from quarterdeck.core import step as inputs
from quarterdeck.core.step import Context
from quarterdeck.errors import ConfigError, JournalDamaged
from quarterdeck.log.reader import StepRow
from quarterdeck.schema import commands as c
from quarterdeck.schema import events as e
from quarterdeck.schema.types import ProcessRow
from quarterdeck.server.history import History, RunRecord
from quarterdeck.server.recorded import asked_by
from quarterdeck.wire.codec import decode_as, encode_value

Members = Mapping[str, Any]
Origin = Literal[
    "client",  # a client's command
    "witness",  # what a witness saw
    "crash",  # a process left without goodbye
    "eviction",  # the launcher put a process out
    "signal",  # the launcher was signalled to end
    "configuration",  # the processes that are configured
    "child",  # a child's process ended, or lived on
    "journal",  # what the journal reports of itself
    "restart",  # the launcher died, and the next one closed what it had left open
    "unknown",  # what stands behind it is no longer held, or of another version
]


class Link(Struct, frozen=True):
    """One step of the chain. `event` is the one explained, none where the step told nothing; `events` all that it told;
    `at` RFC 3339.

    `input` its name and `members` as JSON; `sender` the process that it came from or is about, as it was registered
    then, none where it is none or not known. The last link has an `origin`, the others `because`: how the next one
    stands behind this one.
    """

    run_id: str
    step: int
    version: int
    at: str
    event: Raw | None
    events: tuple[Raw, ...]
    input: str
    members: Raw
    source: str
    conn_id: int | None
    pid: int | None
    sender: ProcessRow | None
    because: str | None
    origin: Origin | None


def why(history: History, record: RunRecord, version: int) -> list[Link]:
    """The chain behind an event, the event's own step first.

    Raises: ConfigError where the run holds no such event; JournalDamaged.
    """
    links: list[Link] = []
    seen = _Seen(history.step_of(record, version))
    event = seen.event(version)
    while True:
        behind = _behind(seen, event)
        found = _find(history, record, seen, behind) if isinstance(behind, Sought) else None
        if not isinstance(behind, Sought):
            links.append(_link(history, record, seen, event, None, behind))
        elif found is None:
            links.append(_link(history, record, seen, event, behind.because, "unknown"))
        else:
            links.append(_link(history, record, seen, event, behind.because, None))
        if found is None:
            return links
        seen, event = found


class _Seen:
    """A step read as plain members."""

    def __init__(self, row: StepRow) -> None:
        self.row = row
        try:
            read: _Read = decode_as(row.input, _Read)
            self.input: Members = decode_as(bytes(read.input), dict[str, Any])
            self.events: list[Members] = [decode_as(line, dict[str, Any]) for line in row.lines]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise JournalDamaged(f"step {row.step} is none that this version knows: {error}") from error
        for version, event in enumerate(self.events, start=row.version - len(self.events) + 1):
            if event.get("version") != version or not isinstance(event.get("event"), str):
                raise JournalDamaged(f"step {row.step}: event {version} is not what was written")
        self.ctx = read.ctx
        self.members = read.input
        self.name = str(self.input.get("cmd", self.input.get("type", "?")))

    def event(self, version: int) -> Members:
        return next(event for event in self.events if event["version"] == version)


class _Read(Struct, frozen=True):
    ctx: Context
    input: Raw


def _link(
    history: History, record: RunRecord, seen: _Seen, event: Members, because: str | None, origin: Origin | None
) -> Link:
    row, ctx = seen.row, seen.ctx
    lines = [Raw(line.rstrip(b"\n")) for line in row.lines]
    version = int(event["version"]) if event else row.version
    own = lines[version - (row.version - len(lines)) - 1] if event else None
    sender = _sender(history, record, seen)
    return Link(
        record.run_id, row.step, version, ctx.now, own, tuple(lines), seen.name, seen.members, ctx.source, ctx.conn_id,
        ctx.pid, sender, because, origin,
    )  # fmt: skip


def _sender(history: History, record: RunRecord, seen: _Seen) -> ProcessRow | None:
    """The process of an input, as it was registered before; for `register` as it was after."""
    pid = seen.ctx.pid
    if pid is None:
        return None
    version = seen.row.version if seen.name == _name(c.Register) else seen.row.version - len(seen.events)
    try:
        processes = history.snapshot(record, version).processes
    except ConfigError:  # the state there is not known any more
        return None
    return next((row for row in processes if row.pid == pid), None)


# --- what stands behind an input


class Sought(Struct, frozen=True):
    """The step that stands behind another: the newest earlier one that told one of `told`, or whose input is one of
    `asked`, about one of the `subjects` (labels, handles, sagas' ids, children's names) or this `pid`; of all where
    neither is given.
    """

    because: str
    told: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    subjects: tuple[str | int, ...] = ()
    pid: int | None = None


Rule = Callable[[_Seen, Members], "Sought | Origin"]


def _behind(seen: _Seen, event: Members) -> Sought | Origin:
    rule = BEHIND.get(seen.name)
    if rule is not None:
        return rule(seen, event)
    if "cmd" in seen.input:
        return "witness" if seen.ctx.source == "witness" else "client"
    return "unknown"


def _name(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _names(*kinds: type[Struct]) -> tuple[str, ...]:
    return tuple(map(_name, kinds))


_OF_LABELS: Final = _names(
    e.WindowClosed, e.WindowInstanceReleased, e.BackendWindowIdUnregistered, e.HostShouldQuit, e.WindowObserved
)


def _behind_tick(seen: _Seen, event: Members) -> Sought | Origin:
    """What set the deadline that was due."""
    saga_id = event.get("saga_id", _commander(seen, event))
    if saga_id is not None:
        return Sought("it got no answer that it could go on with since", told=("*",), subjects=_some(saga_id))
    if event.get("event") == _name(e.HostUnresponsive):
        alive = _names(e.ProcessSpawned, e.HostResponsive)
        return Sought("it has not answered its probes; it was last told alive by", told=alive, pid=event.get("pid"))
    kind = event.get("kind") if event.get("event") == _name(e.HwndDriftDetected) else None
    label, hwnd = event.get("label"), event.get("hwnd")
    if kind == "orphan_destroy":
        return Sought("its handle was seen to be gone", asked=_names(c.ReportHwndDestroyed), subjects=_some(hwnd))
    if kind == "hwnd_without_browser":
        return Sought("the handle waited for its window since", asked=_names(c.ReportHwndOpened), subjects=_some(hwnd))
    if kind == "browser_without_hwnd":
        return Sought("the window waited for its handle since", told=_names(e.WindowOpened), subjects=_some(label))
    if kind == "hidden_since_open":
        asked = _names(c.ReportHwndVisibilityChanged, c.ReportHwndIconicChanged, c.ReportHwndOpened)
        return Sought("it stayed hidden since", _names(e.WindowOpened), asked, _some(label, hwnd))
    if event.get("event") in _OF_LABELS or kind == "orphan_instance":
        return _behind_close(seen, label)
    if "name" in event:
        return Sought("its time was up, counted from", told=_CHILD_EVENTS, subjects=_some(event["name"]))
    return Sought("the newest step about the same before", ("*",), ("*",), _some(label, hwnd))


def _commander(seen: _Seen, event: Members) -> int | None:
    """The saga whose command made an event happen, if one did."""
    commanded = asked_by(seen.row.input).commanded
    return next((each.saga_id for each in commanded if each.first <= event.get("version", 0) <= each.last), None)


def _behind_close(seen: _Seen, label: str | None) -> Sought | Origin:
    """What let a window close when a deadline passed: its handle had died, or its host had vanished."""
    for event in seen.events:
        if event.get("kind") == "orphan_destroy" and label in (None, event.get("label")):
            return _behind_tick(seen, event)
    closed = [event.get("label") for event in seen.events if event["event"] == _name(e.WindowClosed)]
    labels = closed if label is None or label not in closed else [label]
    if not labels:
        return Sought("the newest step about the same before", ("*",), ("*",), _some(label))
    return Sought("nobody opened it anew since", told=_names(e.WindowsOrphaned), subjects=_some(*labels))


def _behind_goodbye(seen: _Seen, event: Members) -> Sought | Origin:
    return "eviction" if seen.input.get("reason") == "evicted" else "crash"


def _behind_end(seen: _Seen, event: Members) -> Sought | Origin:
    return Sought("everybody was told since the launcher was asked to end", told=(_QUITTING,))


_CHILD_EVENTS: Final = _names(
    e.ChildStarted, e.ChildReady, e.ChildStopping, e.ChildExited, e.ChildBackoff, e.ChildFailed, e.ChildStopped
)
_QUITTING: Final = "quitting"
"""Stands for the `lifecycle_phase_changed` that says so."""


def _behind_start(seen: _Seen, event: Members) -> Sought | Origin:
    asked = _names(c.StartProcess, c.RestartProcess)
    return Sought("it was to be started since", _CHILD_EVENTS, asked, _some(seen.input.get("name")))


def _behind_ready(seen: _Seen, event: Members) -> Sought | Origin:
    return Sought("it was started by", told=_names(e.ChildStarted), subjects=_some(seen.input.get("name")))


def _behind_exit(seen: _Seen, event: Members) -> Sought | Origin:
    """A child that was asked to stop ended for that; any other by itself."""
    if event.get("event") == _name(e.ChildStopped):
        return Sought("it was asked to stop", told=_names(e.ChildStopping), subjects=_some(event["name"]))
    return "child"


def _behind_check(seen: _Seen, event: Members) -> Sought | Origin:
    """The window system was asked because a host did not answer."""
    pid = seen.input.get("pid")
    return Sought("the window system was asked because of", told=_names(e.HostUnresponsive), pid=pid)


BEHIND: Final[Mapping[str, Rule]] = {
    _name(inputs.Tick): _behind_tick,
    _name(inputs.ShutdownFinished): _behind_end,
    _name(inputs.SyntheticGoodbye): _behind_goodbye,
    _name(inputs.QuitSignalled): lambda seen, event: "signal",
    _name(inputs.JournalReported): lambda seen, event: "journal",
    _name(inputs.LauncherRestarted): lambda seen, event: "restart",
    _name(inputs.ConfigurationRead): lambda seen, event: "configuration",
    _name(inputs.ChildrenConfigured): lambda seen, event: "configuration",
    _name(inputs.ChildSpawned): _behind_start,
    _name(inputs.ChildSpawnFailed): _behind_start,
    _name(inputs.ChildProbed): _behind_ready,
    _name(inputs.ChildAdopted): lambda seen, event: "child",
    _name(inputs.ChildExited): _behind_exit,
    _name(inputs.HostChecked): _behind_check,
}
"""By the input's name: what stands behind it. A command that is not here is where a chain begins."""


def _some(*subjects: Any) -> tuple[str | int, ...]:
    """What can be a subject: an application's own event may mean anything by a member's name."""
    return tuple(subject for subject in subjects if isinstance(subject, str | int))


# --- looking for it


def _find(history: History, record: RunRecord, seen: _Seen, sought: Sought) -> tuple[_Seen, Members] | None:
    """The newest earlier step that fits, and its event that says so, or its first one."""
    needles = [encode_value(subject) for subject in _some(*sought.subjects, sought.pid)]
    for row in history.steps_back(record, seen.row.step):
        if needles and not any(needle in row.events or needle in row.input for needle in needles):
            continue
        if not needles and not row.events:
            continue
        earlier = _Seen(row)
        told = next(_telling(earlier, sought), None)
        if told is not None:
            return earlier, told
        if _is_one(earlier.name, sought.asked) and _is_about(earlier.input, sought):
            return earlier, earlier.events[0] if earlier.events else {}
    return None


def _telling(seen: _Seen, sought: Sought) -> Iterator[Members]:
    for event in seen.events:
        name = _QUITTING if event.get("to") == _QUITTING else str(event["event"])
        if _is_one(name, sought.told) and _is_about(event, sought):
            yield event


def _is_one(name: str, wanted: tuple[str, ...]) -> bool:
    return name in wanted or wanted == ("*",)


def _is_about(members: Members, sought: Sought) -> bool:
    """Whether an input or an event is about what is sought."""
    if sought.pid is not None and members.get("pid") != sought.pid:
        return False
    if not sought.subjects:
        return True
    labels = members.get("labels")
    about = [members.get(name) for name in ("label", "label_hint", "hwnd", "saga_id", "name")]
    about += labels if isinstance(labels, list) else []
    return not set(_some(*about)).isdisjoint(sought.subjects)
