"""One `[process.NAME]` table to a ProcessSpec: paths made absolute, files read, texts understood.

What concerns several processes (`after`, replicas) is left to `relations`: `after` is here as it was written.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from quarterdeck.deckfile import words
from quarterdeck.deckfile.complaints import Complaints, Wrong, below, missing, read_table
from quarterdeck.deckfile.spec import ProcessSpec, Ready
from quarterdeck.deckfile.tables import SIZE_MAX, STOP_SIGNALS, ProcessTable, ReadyTable
from quarterdeck.deckfile.variables import read_variables

USER_DATA: Final = "QUARTERDECK_USER_DATA"
RESERVED: Final = ("QUARTERDECK_ENDPOINT", "QUARTERDECK_CHILD", "QUARTERDECK_TREE", USER_DATA)
"""Variables that the launcher gives its children."""
USER_DATA_BYTES_MAX: Final = 65_536
"""Half of what Linux takes as one variable (execve(2), MAX_ARG_STRLEN)."""
MEMORY_MIN: Final = 2**20
"""Less is a number that was meant to be megabytes."""
LOG_MIN: Final = 2**10
FACTORS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class ProcessReader:
    """Reads the processes of one file; `complaints` gets what is wrong, `warnings` what may not be meant."""

    def __init__(self, complaints: Complaints, folder: Path) -> None:
        self.warnings: list[str] = []
        self._complaints = complaints
        self._folder = folder

    def read(self, name: str, table: dict[str, Any]) -> tuple[ProcessSpec, int]:
        """The process and how many of it there are; where something is wrong, with its default instead."""
        path = below("process", name)
        values = read_table(self._complaints, table, ProcessTable, path)
        missing(self._complaints, table, ProcessTable, path)
        written = ProcessTable(**{"command": ("-",), **values})
        return self._spec(name, written, path), written.replicas

    def _spec(self, name: str, written: ProcessTable, path: str) -> ProcessSpec:
        if written.backoff_max_s < written.backoff_s:
            text = f"expected at least backoff_s, {written.backoff_s:g}, found {written.backoff_max_s:g}"
            self._complaints.add(f"{path}.backoff_max_s", text)
        user_data = self._user_data(f"{path}.user_data", written.user_data)
        return ProcessSpec(
            name=name,
            command=self._words(f"{path}.command", written.command),
            cwd=self._cwd(f"{path}.cwd", written.cwd),
            kind=written.kind,
            env=self._env(path, written, user_data),
            after=written.after,
            ready=self._ready(f"{path}.ready", written.ready),
            ready_timeout_ms=_milliseconds(written.ready_timeout_s) or 1,
            restart=written.restart,
            backoff_ms=_milliseconds(written.backoff_s) or 1,
            backoff_max_ms=_milliseconds(written.backoff_max_s) or 1,
            stable_ms=_milliseconds(written.stable_s),
            restarts_max=written.restarts_max,
            restarts_window_ms=_milliseconds(written.restarts_window_s) or 1,
            stop_signal=self._signal(f"{path}.stop_signal", written.stop_signal),
            stop_grace_ms=_milliseconds(written.stop_grace_s),
            memory_max=self._size(f"{path}.memory_max", written.memory_max, MEMORY_MIN),
            optional=written.optional,
            autostart=written.autostart,
            log_max=self._size(f"{path}.log_max", written.log_max, LOG_MIN) or LOG_MIN,
            log_files=written.log_files,
            user_data=user_data,
        )

    def _words(self, path: str, command: str | tuple[str, ...]) -> tuple[str, ...]:
        found = self._split(path, command) if isinstance(command, str) else command
        if found and not found[0]:
            self._complaints.add(path, "the first word, the program, is empty")
        if any("\0" in word for word in found):
            self._complaints.add(path, "a word holds a NUL character, which no system can pass on")
        return found

    def _split(self, path: str, text: str) -> tuple[str, ...]:
        try:
            found = words.split(text)
        except ValueError as error:
            self._complaints.add(path, f"expected a command, found {json.dumps(text)}: {error}")
            return ()
        if words.ASSIGNMENT.fullmatch(found[0]):
            self._complaints.add(path, f"{found[0]} is no program; variables belong in env, as no shell runs a command")
        elif piece := words.shell_syntax(text):
            hint = f'if one is to, write ["sh", "-c", {json.dumps(text)}]'
            self.warn(path, f"{piece} means something only to a shell, and no shell runs this; {hint}")
        return found

    def warn(self, path: str, text: str) -> None:
        """Note what may not be meant."""
        self.warnings.append(f"{self._complaints.label}: {path}: {text}")

    def _cwd(self, path: str, written: str) -> str:
        folder = self._absolute(written)
        if not os.path.isdir(folder):
            self._complaints.add(path, f"expected a folder, found nothing such at {folder}")
        return folder

    def _absolute(self, written: str) -> str:
        return os.path.abspath(self._folder / os.path.expanduser(written))

    def _env(self, path: str, written: ProcessTable, user_data: dict[str, Any]) -> dict[str, str]:
        env: dict[str, str] = {}
        if written.env_file is not UNSET:
            env |= self._variables(f"{path}.env_file", written.env_file)
        env |= {name: str(value) for name, value in written.env.items()}
        for name, value in env.items():
            self._check_variable(below(f"{path}.env", name), name, value)
        if user_data:
            env[USER_DATA] = json.dumps(user_data, ensure_ascii=False, separators=(",", ":"))
        return env

    def _check_variable(self, path: str, name: str, value: str) -> None:
        if not name or "=" in name or "\0" in name + value:
            self._complaints.add(path, "a variable's name is not empty, has no `=`, and neither part a NUL character")
        elif name in RESERVED:
            instead = "; write user_data instead" if name == USER_DATA else ""
            self._complaints.add(path, f"the launcher itself gives this variable to its processes{instead}")

    def _variables(self, path: str, written: str) -> dict[str, str]:
        file = self._absolute(written)
        try:
            with open(file, encoding="utf-8-sig") as stream:
                return read_variables(stream.read())
        except FileNotFoundError:
            self._complaints.add(path, f"expected a file, found nothing at {file}")
        except OSError as error:
            self._complaints.add(path, f"cannot read {file}: {error.strerror}")
        except UnicodeDecodeError:
            self._complaints.add(path, f"{file}: expected UTF-8 text")
        except ValueError as error:
            self._complaints.add(path, f"{file}: {error}")
        return {}

    def _ready(self, path: str, written: str | ReadyTable) -> Ready:
        if not isinstance(written, ReadyTable):
            return Ready("running" if written == "running" else "registered")
        given = [name for name in ReadyTable.__struct_fields__ if getattr(written, name) is not UNSET]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            self._complaints.add(path, f"expected exactly one of port, log, exec; found {found}")
        if isinstance(written.port, int):
            return Ready("port", port=written.port)
        if isinstance(written.log, str):
            return Ready("log", log=self._pattern(f"{path}.log", written.log))
        if isinstance(written.exec, UnsetType):
            return Ready()
        return Ready("exec", exec=self._words(f"{path}.exec", written.exec))

    def _pattern(self, path: str, written: str) -> str:
        try:
            re.compile(written)
        except re.error as error:
            self._complaints.add(path, f"expected a regular expression, found {json.dumps(written)}: {error}")
        return written

    def _signal(self, path: str, written: str) -> str:
        name = written.upper() if written.upper().startswith("SIG") else f"SIG{written.upper()}"
        if name in STOP_SIGNALS:
            return name
        known = f"one of {', '.join(STOP_SIGNALS)}"
        is_other = name in signal.Signals.__members__
        self._complaints.wrong(path, f"{known}{', which programs take for a stop' if is_other else ''}", written)
        return "SIGTERM"

    def _size(self, path: str, written: int | str | UnsetType, least: int) -> int | None:
        if written is UNSET:
            return None
        size = size_of(written)
        if not least <= size <= SIZE_MAX:
            self._complaints.wrong(
                path, f'at least {size_text(least)} (a number alone is bytes; write "512M")', written
            )
        return size

    def _user_data(self, path: str, written: dict[str, Any]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = msgspec.to_builtins(written)  # a date becomes its text
            self._check_json(path, found)
            size = len(json.dumps(found, ensure_ascii=False).encode())
        except Wrong:
            return {}
        except RecursionError:
            self._complaints.add(path, "tables are nested too deeply")
            return {}
        if size > USER_DATA_BYTES_MAX:
            self._complaints.add(
                path, f"expected at most {USER_DATA_BYTES_MAX} bytes as JSON; put it in a file instead"
            )
        return found

    def _check_json(self, path: str, value: Any) -> None:
        """Complain about what another language could not read. Raises: Wrong."""
        if isinstance(value, dict):
            for name, item in value.items():
                self._check_json(below(path, name), item)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                self._check_json(f"{path}[{number}]", item)
        elif isinstance(value, float) and not math.isfinite(value):
            raise self._complaints.wrong(path, "what JSON can say", value)
        elif isinstance(value, int) and abs(value) > 2**63 - 1:
            raise self._complaints.wrong(path, "an integer of 64 bits", value)


def size_of(written: int | str) -> int:
    """Bytes of a size: a number, or a text as "512M", "1.5 GiB"; K, M, G and T are powers of 1024."""
    if isinstance(written, int):
        return written
    number = written.rstrip("KMGTkmgtiIbB \t")
    unit = written[len(number) :].strip().upper()[:1]
    return int(float(number) * FACTORS[unit])


def size_text(size: int) -> str:
    """Bytes as a size is written, where it is a whole number of units."""
    for unit in "TGMK":
        if size % FACTORS[unit] == 0 and size >= FACTORS[unit]:
            return f"{size // FACTORS[unit]}{unit}"
    return str(size)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
