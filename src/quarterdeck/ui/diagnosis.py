"""A diagnosis: versions, limits, snapshot, last events, and what the system says of each process beside what the
launcher believes, with their differences.
"""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quarterdeck.config import describe
from quarterdeck.schema.events import LEFT_BEHIND
from quarterdeck.schema.replies import Snapshot
from quarterdeck.ui.history import events_held
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.text import cut
from quarterdeck.version import __version__

if TYPE_CHECKING:
    from quarterdeck.client import BlockingClient

EVENTS_MAX: Final = 200
LINE_CHARACTERS_MAX: Final = 400
LIBRARIES: Final = ("msgspec", "uvloop", "click", "rich", "psutil", "xcffib")


class Fact(msgspec.Struct, frozen=True):
    """One process: the launcher's belief, the system's word, and where they differ (none: they agree)."""

    pid: int
    believed: str
    found: str
    command: str
    memory_bytes: int | None
    difference: str | None


class Diagnosis(msgspec.Struct, frozen=True):
    """Everything in one value."""

    versions: dict[str, str]
    launcher: dict[str, Any]
    default_limits: dict[str, str]
    snapshot: Snapshot
    events: list[dict[str, Any]]
    processes: list[Fact]
    differences: list[str]
    left_behind: list[str]


def diagnose(client: BlockingClient) -> Diagnosis:
    """Ask the launcher and the system."""
    snapshot = client.get_snapshot()
    events = list(events_held(client, max(0, snapshot.version - EVENTS_MAX)))[-EVENTS_MAX:]
    launcher = {
        "pid": client.launcher_pid,
        "version": client.launcher_version,
        "endpoint": client.endpoint,
        "run_id": client.run_id,
    }
    facts = [_fact(row.pid, row.state, row.spawned_at) for row in snapshot.processes]
    return Diagnosis(
        versions=_versions(),
        launcher=launcher,
        default_limits={setting.key: setting.default for setting in describe()},
        snapshot=msgspec.structs.replace(snapshot, id=None),
        events=events,
        processes=facts,
        differences=[
            *(f"pid {fact.pid}: {fact.difference}" for fact in facts if fact.difference is not None),
            *(f"pid {row.pid}: the host does not answer probes" for row in snapshot.processes if row.unresponsive),
        ],
        left_behind=[text for event in events if (text := _left_behind(event)) is not None],
    )


def show(screen: Screen, diagnosis: Diagnosis) -> None:
    """The same as text, a section a heading."""
    _section(screen, "versions", [f"{name} {version}" for name, version in diagnosis.versions.items()])
    _section(screen, "launcher", [f"{name}: {value}" for name, value in diagnosis.launcher.items()])
    _section(screen, "default limits", [f"{key} = {default}" for key, default in diagnosis.default_limits.items()])
    _section(screen, "differences between belief and system", diagnosis.differences or ["none"])
    _section(screen, "left behind by children, and killed, in the last events", diagnosis.left_behind or ["none"])
    screen.line("== processes", "bold")
    headings = ("PID", "BELIEVED", "FOUND", "MEMORY", "COMMAND")
    rows = [
        (str(fact.pid), fact.believed, fact.found, _memory(fact.memory_bytes), cut(fact.command, 60))
        for fact in diagnosis.processes
    ]
    screen.table(headings, rows, ["red" if fact.difference else "" for fact in diagnosis.processes])
    _section(screen, "snapshot", [msgspec.json.format(msgspec.json.encode(diagnosis.snapshot)).decode()])
    lines = [cut(msgspec.json.encode(event).decode(), LINE_CHARACTERS_MAX) for event in diagnosis.events]
    _section(screen, f"last {len(lines)} events", lines)


def _left_behind(event: dict[str, Any]) -> str | None:
    """What a child left behind, if the event tells of that."""
    reason = event.get("reason")
    if not event["event"].startswith("child_") or not isinstance(reason, str) or LEFT_BEHIND not in reason:
        return None
    return f"{event['name']} (version {event['version']}): {reason.partition(LEFT_BEHIND)[2]}"


def _section(screen: Screen, heading: str, lines: list[str]) -> None:
    screen.line(f"== {heading}", "bold")
    for text in lines:
        for line in text.split("\n"):
            screen.line(line)


def _versions() -> dict[str, str]:
    found = {"quarterdeck": __version__, "python": platform.python_version(), "system": platform.platform()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "not installed"
    return found


def _fact(pid: int, believed: str, spawned_at: str) -> Fact:
    """What the system says of a pid. A process that started after it registered is another one with the same pid."""
    from datetime import datetime

    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            found, command = process.status(), " ".join(process.cmdline()) or process.name()
            memory, began = process.memory_info().rss, process.create_time()
    except psutil.NoSuchProcess:
        difference = "believed running, and there is no such process" if believed == "running" else None
        return Fact(pid, believed, "gone", "", None, difference)
    except psutil.AccessDenied:
        return Fact(pid, believed, "not to be seen", "", None, None)
    is_another = began > datetime.fromisoformat(spawned_at).timestamp() + 1
    if believed == "running" and (found == psutil.STATUS_ZOMBIE or is_another):
        what = "a zombie" if found == psutil.STATUS_ZOMBIE else "another process that has its pid now"
        return Fact(pid, believed, found, command, memory, f"believed running, and it is {what}")
    return Fact(pid, believed, found, command, memory, None)


def _memory(size: int | None) -> str:
    return "-" if size is None else f"{size / 1_048_576:.1f} MiB"
