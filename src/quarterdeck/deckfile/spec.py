"""ProcessSpec and DeckFile: what comes of quarterdeck.toml, with nothing left to look up.

Paths are absolute, commands are words, replicas are processes of their own, sizes are bytes and times milliseconds. A
spec is JSON as it is: it goes to the guard, and tells whether anything of a process has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from quarterdeck.config import Config
from quarterdeck.schema.types import ProcessKind, ReadyKind, RestartPolicy

OnLauncherDeath = Literal["kill", "adopt"]


class Ready(Struct, frozen=True):
    """What shows that a process is ready: `kind`, and for `port`, `log` and `exec` which port of localhost, which
    regular expression (searched in each line), which command.
    """

    kind: ReadyKind = "registered"
    port: int | None = None
    log: str | None = None
    exec: tuple[str, ...] = ()


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """All that is needed to run one process.

    `env` is what the configuration adds to the launcher's environment: of `env_file`, of `env`, and `user_data` as
    JSON. `after` names processes as they run (`worker-1`). `memory_max` None: no limit. The defaults are the file's.
    """

    name: str
    command: tuple[str, ...]
    cwd: str
    kind: ProcessKind = "srv"
    env: dict[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    ready: Ready = Ready()
    ready_timeout_ms: int = 60_000
    restart: RestartPolicy = "on-failure"
    backoff_ms: int = 1_000
    backoff_max_ms: int = 30_000
    stable_ms: int = 10_000
    restarts_max: int = 10
    restarts_window_ms: int = 600_000
    stop_signal: str = "SIGTERM"
    stop_grace_ms: int = 10_000
    memory_max: int | None = None
    optional: bool = False
    autostart: bool = True
    log_max: int = 10 * 2**20
    log_files: int = 3
    user_data: dict[str, Any] = field(default_factory=dict)


class DeckFile(Struct, frozen=True, kw_only=True):
    """What a quarterdeck.toml says. `exit_from` names a process as it runs; `warnings` is what may not be meant;
    `slices` are the `module:NAME` of the application's slices, by their names, and `sagas` those of its sagas.
    """

    path: Path
    processes: tuple[ProcessSpec, ...]
    data_dir: Path
    config: Config = Config()
    on_launcher_death: OnLauncherDeath = "kill"
    exit_from: str | None = None
    warnings: tuple[str, ...] = ()
    slices: dict[str, str] = field(default_factory=dict)
    sagas: tuple[str, ...] = ()


def start_order(processes: Iterable[ProcessSpec]) -> tuple[ProcessSpec, ...]:
    """The processes so that each comes after all that it waits for; otherwise in the order given."""
    waiting = list(processes)
    names = {spec.name for spec in waiting}
    passed: set[str] = set()
    ordered: list[ProcessSpec] = []
    while waiting:
        due = [spec for spec in waiting if names.intersection(spec.after) <= passed]
        if not due:  # a cycle, which no file that was read has
            due = waiting
        ordered += due
        passed.update(spec.name for spec in due)
        waiting = [spec for spec in waiting if spec.name not in passed]
    return tuple(ordered)
