"""Guard aftermath: what is left when a guard, or a launcher, or both were killed, and how it is ended.

- A guard whose launcher was killed kills the children by itself: the next launcher only waits for that.
- A guard that was stopped goes on when somebody is to be killed (`wake`); one that hangs is killed (`end_guard`).
- A launcher whose guard was killed ends the orphans. It is a subreaper (`take_orphans`), so they all came to it.
- Where both were killed, daemons of the children may live. So the launcher keeps in its data folder which guard it has
  (`keep`), and the next one finds them by that guard's mark in their environment (`clean_up`).

A guard is its pid and its start time in one run of the system (boot): after a restart of the machine nothing is left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, structs

from quarterdeck.drivers.guard_wire import Hello

PATIENCE_S: Final = 10.0
"""How long a guard without a launcher may take to end its children; then it is killed itself."""
LOOK_AGAIN_S: Final = 0.01


def keep(path: Path, hello: Hello) -> None:
    """Keep which guard there is, for the next launcher. Raises OSError."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # of a launcher that was killed in the middle
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(structs.asdict(_Record.of(hello))))
    os.replace(draft, path)


def forget(path: Path) -> None:
    """The guard ended in good order."""
    path.unlink(missing_ok=True)


class _Record(Struct, frozen=True):
    """What is kept of a guard; the members are those of its `Hello`."""

    boot: str
    pid: int
    start: int
    mark: Annotated[str, Meta(min_length=1)]
    cgroup: str | None

    @classmethod
    def of(cls, hello: Hello) -> _Record:
        return cls(hello.boot, hello.pid, hello.start, hello.mark, hello.cgroup)

    @classmethod
    def read(cls, path: Path) -> _Record | None:
        """None where there is nothing, or nothing that makes sense."""
        try:
            return msgspec.convert(json.loads(path.read_text(encoding="utf-8")), cls)
        except (OSError, ValueError):
            return None


if sys.platform == "win32":  # the jobs of a launcher end with it, so nothing is left behind

    def take_orphans() -> None:
        """Nobody comes."""

    def wake(guard: Hello) -> None:
        """There is none."""

    def end_guard(guard: Hello) -> None:
        """There is none."""

    def end_orphans(living: Mapping[str, tuple[int, int]], mark: str, cgroup: str | None) -> dict[str, list[str]]:
        """There are none."""
        return {}

    def is_here(hello: Hello) -> bool:
        """It cannot be."""
        return False

    def guard_of(path: Path) -> int | None:
        """There is none."""
        return None

    def clean_up(path: Path, patience_s: float = PATIENCE_S) -> list[str]:
        """There is nothing to do."""
        return []

else:
    from quarterdeck.drivers.descendants import (
        Process,
        boot_of,
        kill,
        kill_left_behind,
        process_of,
        set_subreaper,
        start_of,
    )

    def take_orphans() -> None:
        """Have all who lose the guard come to this process. Raises OSError."""
        set_subreaper(True)

    def wake(guard: Hello) -> None:
        """Let a guard that was stopped go on. Source: signal(7), SIGCONT."""
        if _alive(_Record.of(guard)) is not None:
            os.kill(guard.pid, signal.SIGCONT)

    def end_guard(guard: Hello) -> None:
        """Kill a guard that hangs; what is left of its children is left to `end_orphans`."""
        if (found := _alive(_Record.of(guard))) is not None:
            kill(found)

    def end_orphans(living: Mapping[str, tuple[int, int]], mark: str, cgroup: str | None) -> dict[str, list[str]]:
        """Kill what a guard that was killed left behind, and return it as texts, by child. Blocks.

        `living`: its children's pids and start times, by name. What cannot be told whose it was stands under the empty
        name. The calling process has no children of its own just now, and gets who lost the guard; but for the system's
        first process, to which strangers come as well.
        """
        roots = dict(living.values())
        texts: dict[str, list[str]] = {}
        for left in kill_left_behind(roots, mark, cgroup, spared=None if os.getpid() == 1 else ()):
            if left.pid not in roots:
                texts.setdefault(left.child if left.child in living else "", []).append(left.text)
        return texts

    def is_here(hello: Hello) -> bool:
        """Whether a guard is what it says: a process of this run of the system, in our own process namespace."""
        children_are = all(start_of(child.pid) in (child.start, None) for child in hello.children)
        return hello.boot == boot_of() and _alive(_Record.of(hello)) is not None and children_are

    def guard_of(path: Path) -> int | None:
        """The pid of the guard that was kept there, if it lives."""
        record = _Record.read(path)
        if record is None or record.boot != boot_of():
            return None
        return None if _alive(record) is None else record.pid

    def clean_up(path: Path, patience_s: float = PATIENCE_S) -> list[str]:
        """See to what an earlier launcher and its guard left behind; returns what had to be killed, as texts.

        Blocks until the guard has ended its children, for `patience_s` at most; one that does not is killed.
        """
        record = _Record.read(path)
        if record is None:
            return []
        killed: list[str] = []
        if record.boot == boot_of():
            until = time.monotonic() + patience_s
            while (guard := _alive(record)) is not None and time.monotonic() < until:
                time.sleep(LOOK_AGAIN_S)
            if guard is not None:
                kill(guard)
                killed.append(f"pid {guard.pid} (the guard, which did not end)")
            cgroup = record.cgroup if process_of(record.pid) is None else None  # else it may be another guard's by now
            killed += (left.text for left in kill_left_behind({}, record.mark, cgroup))
        forget(path)
        return killed

    def _alive(record: _Record) -> Process | None:
        """The guard itself, if it lives: the process with its pid that began when it did."""
        found = process_of(record.pid)
        return None if found is None or found.start != record.start or found.is_dead else found
