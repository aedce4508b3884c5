"""The mark: a small file beside the journal that says how far it had come, so that what is missing later is known.

Rules:
- It is written with each commit and, while the journal cannot be written, with each turn: before anybody is told. It is
  never waited for: it survives our process, and a power cut as the system likes.
- It is as large as it gets when a run begins, so that a disk that is full later takes nothing from it.
- It only adds: what it knows and the journal does not is said, and otherwise the journal alone counts.
- Where it cannot be written it is removed: none is better than one that stands still.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

log = logging.getLogger("quarterdeck.log")

SUFFIX: Final = "-mark"
BYTES_MAX: Final = 1 << 20
"""More than the head of any run takes; what is beyond is not read."""
WHY_BYTES_MAX: Final = 400

_NUMBERS: Final = struct.Struct("<5Q")
_CHECK: Final = struct.Struct("<I")
_PART: Final = struct.Struct("<II")  # its bytes, and their checksum
_TROUBLE_AT: Final = 64
_LAST_AT: Final = 512
_RUN_AT: Final = 4096

Values = tuple[int, int, bytes, bytes]
"""A step: the version after it, Unix milliseconds, its input, its events."""


class Marked(NamedTuple):
    """What a mark says. `step` and `version` are the newest that were kept, `told` the newest version that clients may
    have been told, `inputs` how many waited or were lost behind `step`, at `at_ms`; `why` they were. `last` is the
    run's last step, where it ended in good order and that could not be kept. `boot` names the start of the machine.
    """

    run_id: str
    boot: str
    first_step: int
    began_ms: int
    head: bytes
    step: int
    version: int
    told: int
    inputs: int
    at_ms: int
    why: str
    last: Values | None


class Missing(NamedTuple):
    """What a run had, and the journal has not: `kept` steps that it had, `inputs` in all, and the versions that they
    told; last below first: none.
    """

    first_version: int
    last_version: int
    kept: int
    inputs: int


class Mark:
    """Writes one run's mark. Made by `begin`; without a file it does nothing."""

    def __init__(self, path: Path, file: int = -1, seed: int = 0, step: int = 0) -> None:
        self._path = path
        self._file = file
        self._seed = seed
        self._step = step
        self._version = 0

    @classmethod
    def begin(cls, path: Path, run_id: str, first_step: int, began_ms: int, head: bytes) -> Mark:
        """Begin the mark of a run, in place of the last one's. Where it cannot be made there is none."""
        run = f"{run_id}\n{boot()}\n{first_step}\n{began_ms}\n".encode() + head
        seed = crc32(run_id.encode())
        whole = bytearray(_RUN_AT)
        whole[: _NUMBERS.size + _CHECK.size] = _numbers(seed, first_step - 1, 0, 0, 0, began_ms)
        whole += _part(run)
        mark = cls(path, seed=seed, step=first_step - 1)
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            mark._file = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            mark._give_up(error)
            return mark
        mark._write(whole, 0)
        return mark

    def keep(self, step: int, version: int, at_ms: int) -> None:
        """So much is kept by now, and nothing waits."""
        self._step, self._version = step, version
        self._write(_numbers(self._seed, step, version, version, 0, at_ms), 0)

    def put_off(self, told: int, inputs: int, at_ms: int) -> None:
        """So much is about to be told, and so many inputs behind the newest step are not kept."""
        self._write(_numbers(self._seed, self._step, self._version, told, inputs, at_ms), 0)

    def trouble(self, why: str) -> None:
        """The journal fails, and what is told from now on may not be kept."""
        self._write(_part(why.encode()[:WHY_BYTES_MAX]), _TROUBLE_AT)

    def end(self, last: Values) -> None:
        """The run ends in good order, and its last step could not be kept; one that is too large is left out."""
        version, at_ms, input, events = last
        part = _part(f"{version}\n{at_ms}\n{len(input)}\n".encode() + input + events)
        if len(part) <= _RUN_AT - _LAST_AT:
            self._write(part, _LAST_AT)

    def close(self) -> None:
        """Let the file go; it stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, data: bytes | bytearray, at: int) -> None:
        if self._file < 0:
            return
        try:
            if _write_at(self._file, data, at) != len(data):
                raise OSError("it was written in part")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning(
            "%s: it cannot be written, so the next launcher will not know how far this run came: %s", self._path, error
        )
        self.close()
        try:
            self._path.unlink(missing_ok=True)
        except OSError as wrong:
            log.debug("%s: it cannot be removed either: %s", self._path, wrong)


def mark_path(path: Path) -> Path:
    """The mark of a journal."""
    return path.with_name(path.name + SUFFIX)


def read(path: Path) -> Marked | None:
    """What the mark of a journal says; None where there is none, or it is not what was written."""
    mark = mark_path(path)
    if not mark.is_file():  # a pipe would be waited for without end
        return None
    try:
        with mark.open("rb", buffering=0) as file:
            whole = file.read(BYTES_MAX) or b""
        run_id, started, first_step, began_ms, head = _read_part(whole, _RUN_AT).split(b"\n", 4)
        step, version, told, inputs, at_ms = _NUMBERS.unpack_from(whole)
        if whole[: _NUMBERS.size + _CHECK.size] != _numbers(crc32(run_id), step, version, told, inputs, at_ms):
            return None
        why = _read_part(whole, _TROUBLE_AT).decode("utf-8", "replace")
        run = run_id.decode(), started.decode(), int(first_step), int(began_ms), head
        return Marked(*run, step, version, told, inputs, at_ms, why, _last(whole))
    except (OSError, ValueError, struct.error):
        return None


def missing(marked: Marked, held_step: int, held_version: int) -> Missing | None:
    """What of the marked run is missing behind the newest step and version that are held of it; None: nothing."""
    kept = max(0, marked.step - held_step)
    if not kept and marked.told <= held_version and not marked.inputs:
        return None
    return Missing(held_version + 1, max(marked.told, held_version), kept, kept + marked.inputs)


def boot() -> str:
    """Names this start of the machine; empty where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return ""


def _last(whole: bytes) -> Values | None:
    part = _read_part(whole, _LAST_AT)
    if not part:
        return None
    version, at_ms, size, rest = part.split(b"\n", 3)
    return int(version), int(at_ms), rest[: int(size)], rest[int(size) :]


def _numbers(seed: int, step: int, version: int, told: int, inputs: int, at_ms: int) -> bytes:
    packed = _NUMBERS.pack(step, version, told, inputs, at_ms)
    return packed + _CHECK.pack(crc32(packed, seed))


def _part(data: bytes) -> bytes:
    return _PART.pack(len(data), crc32(data)) + data


def _read_part(whole: bytes, at: int) -> bytes:
    """A part of it, empty where nothing was written. Raises: ValueError where it is not what was written."""
    size, check = _PART.unpack_from(whole, at)
    data = whole[at + _PART.size : at + _PART.size + size]
    if len(data) != size or crc32(data) != check:
        raise ValueError("a part of it is not what was written")
    return data


if sys.platform == "win32":
    # Written and type-checked, not yet run.

    def _write_at(file: int, data: bytes | bytearray, at: int) -> int:
        os.lseek(file, at, os.SEEK_SET)
        return os.write(file, data)

else:
    _write_at = os.pwrite
