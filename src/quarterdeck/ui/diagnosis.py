"""A diagnosis: versions, the launcher's own settings, snapshot, last events, what it keeps on disk, and what the system
says of each process beside what the launcher believes, with their differences.

Rules: a launcher that is dead, or does not answer, left most of it on disk: then that is reported. Which settings it
runs by, a launcher writes into its lock file.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quarterdeck.config import describe
from quarterdeck.schema.events import LEFT_BEHIND
from quarterdeck.schema.replies import Snapshot
from quarterdeck.ui.history import events_held
from quarterdeck.ui.process_facts import Fact, facts_left, facts_of
from quarterdeck.ui.remains import Remains, last_state
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.sight import Sight, sight_of
from quarterdeck.ui.text import cut
from quarterdeck.version import __version__

if TYPE_CHECKING:
    from quarterdeck.client import BlockingClient, Holder

EVENTS_MAX: Final = 200
LINE_CHARACTERS_MAX: Final = 400
LIBRARIES: Final = ("msgspec", "uvloop", "click", "rich", "psutil", "xcffib")


class Diagnosis(msgspec.Struct, frozen=True):
    """Everything in one value. `launcher` is the one that answered, else the last one that was there, if any; `answers`
    says which. `settings` are that launcher's own, None where it did not say them.
    """

    versions: dict[str, str]
    answers: bool
    launcher: dict[str, Any]
    settings: dict[str, Any] | None
    witness: Sight | None
    differences: list[str]
    left_behind: list[str]
    processes: list[Fact]
    kept: Remains
    snapshot: Snapshot | None
    events: list[dict[str, Any]]


def diagnose(client: BlockingClient, holder: Holder | None, kept: Remains) -> Diagnosis:
    """Ask the launcher and the system. `holder` is what the lock file says, which may be another launcher's."""
    snapshot = client.get_snapshot()
    events = list(events_held(client, max(0, snapshot.version - EVENTS_MAX)))[-EVENTS_MAX:]
    launcher = {
        "pid": client.launcher_pid,
        "version": client.launcher_version,
        "endpoint": client.endpoint,
        "run_id": client.run_id,
    }
    its_own = holder is not None and (holder.pid, holder.version) == (client.launcher_pid, client.launcher_version)
    metrics = client.get_metrics()
    facts = facts_of(snapshot, metrics, client.launcher_pid)
    return Diagnosis(
        versions=_versions(),
        answers=True,
        launcher=launcher,
        settings=dict(holder.settings) if its_own and holder is not None and holder.settings is not None else None,
        witness=sight_of(metrics),
        differences=[
            *(f"pid {fact.pid} ({fact.what}): {fact.difference}" for fact in facts if fact.difference is not None),
            *(f"pid {row.pid}: the host does not answer probes" for row in snapshot.processes if row.unresponsive),
        ],
        left_behind=_all_left_behind(events),
        processes=facts,
        kept=kept,
        snapshot=msgspec.structs.replace(snapshot, id=None),
        events=events,
    )


def diagnose_remains(endpoint: str, holder: Holder | None, kept: Remains) -> Diagnosis:
    """What there is without a launcher that answers: of the last one, from its files."""
    last = last_state(kept, EVENTS_MAX)
    launcher: dict[str, Any] = {"endpoint": endpoint}
    if holder is not None:
        launcher |= {"pid": holder.pid, "version": holder.version}
    return Diagnosis(
        versions=_versions(),
        answers=False,
        launcher=launcher,
        settings=dict(holder.settings) if holder is not None and holder.settings is not None else None,
        witness=None,
        differences=[],
        left_behind=_all_left_behind(last.events),
        processes=facts_left(last.snapshot, holder.pid if holder is not None else None),
        kept=kept,
        snapshot=last.snapshot,
        events=last.events,
    )


def show(screen: Screen, diagnosis: Diagnosis) -> None:
    """The same as text, a section a heading."""
    _section(screen, "versions", [f"{name} {version}" for name, version in diagnosis.versions.items()])
    which = "launcher" if diagnosis.answers else "the last launcher, which does not answer"
    _section(screen, which, [f"{name}: {value}" for name, value in diagnosis.launcher.items()])
    _section(screen, "settings", list(_setting_lines(diagnosis.settings)))
    if diagnosis.answers:
        _section(screen, "witness of the real windows", list(_witness_lines(diagnosis.witness)))
        _section(screen, "differences between belief and system", diagnosis.differences or ["none"])
    _section(screen, "left behind by children, and killed, in the last events", diagnosis.left_behind or ["none"])
    heading = "processes" if diagnosis.answers else "what has the pids now that it knew last"
    _show_processes(screen, heading, diagnosis.processes)
    _show_kept(screen, diagnosis.kept)
    if diagnosis.snapshot is not None:
        heading = "snapshot" if diagnosis.answers else "the last state that the journal has"
        _section(screen, heading, [msgspec.json.format(msgspec.json.encode(diagnosis.snapshot)).decode()])
    lines = [cut(msgspec.json.encode(event).decode(), LINE_CHARACTERS_MAX) for event in diagnosis.events]
    _section(screen, f"last {len(lines)} events", lines)


def _setting_lines(settings: dict[str, Any] | None) -> Iterator[str]:
    """Each with what this version's default is, where it is another."""
    if settings is None:
        yield "not known: the launcher did not write them into its lock file, or that is not to be found"
        return
    defaults = {setting.key: setting.default for setting in describe()}
    for key, value in settings.items():
        default = defaults.get(key)
        is_default = default is None or default == str(value)
        yield f"{key} = {value}" if is_default else f"{key} = {value} (default: {default})"


def _witness_lines(sight: Sight | None) -> Iterator[str]:
    if sight is None:
        yield "none: what is known of them is what the host reports"
    else:
        yield from sight.lines() or [f"{sight.witness}, which sees them"]


def _show_processes(screen: Screen, heading: str, facts: list[Fact]) -> None:
    screen.line(f"== {heading}", "bold")
    headings = ("PID", "WHAT", "BELIEVED", "FOUND", "MEMORY", "COMMAND")
    rows = [
        (str(fact.pid), fact.what, fact.believed, fact.found, _memory(fact.memory_bytes), cut(fact.command, 60))
        for fact in facts
    ]
    screen.table(headings, rows, ["red" if fact.difference else "" for fact in facts])


def _show_kept(screen: Screen, kept: Remains) -> None:
    """What is in the data folder."""
    _section(screen, "configuration", list(_configuration_lines(kept)))
    files = [f"{file.name}: {file.bytes} bytes, written {file.written_at}" for file in kept.files]
    _section(screen, f"files in {kept.data_dir}", files or ["none"])
    if kept.problems:
        _section(screen, "what could not be read", kept.problems)
    runs = [
        f"{run['run_id']} began {run['began']}, {run['ending']}, last heard of {run['last']}, version {run['version']}"
        for run in kept.runs
    ]
    _section(screen, "runs in the journal", runs or ["none"])
    for name, lines in kept.logs.items():
        _section(screen, f"log of {name}, its last lines", lines)


def _configuration_lines(kept: Remains) -> Iterator[str]:
    found = kept.configuration
    if found is None:
        yield "no quarterdeck.toml"
        return
    yield found["path"]
    if found["problem"] is not None:
        yield found["problem"]
    else:
        yield f"processes: {', '.join(found['processes']) or 'none'}"


def _all_left_behind(events: list[dict[str, Any]]) -> list[str]:
    return [text for event in events if (text := _left_behind(event)) is not None]


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


def _memory(size: int | None) -> str:
    return "-" if size is None else f"{size / 1_048_576:.1f} MiB"
