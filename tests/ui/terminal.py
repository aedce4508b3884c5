"""Terminal: a command line on a terminal of its own, which a test types at and looks at."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from types import TracebackType
from typing import Any, Self

from tests.ui.running import COMMAND, PATIENCE_S, environ


class Terminal:
    """One command on a terminal of so many columns and rows."""

    def __init__(self, *args: str, endpoint: str, columns: int = 120, rows: int = 30) -> None:
        self._ours, self._theirs = os.openpty()
        self.resize(columns, rows)
        self.modes: list[Any] = termios.tcgetattr(self._theirs)
        self.shown = ""
        self._seen = 0
        self.process = subprocess.Popen(
            [*COMMAND, *args],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={name: value for name, value in environ(endpoint).items() if name not in ("COLUMNS", "LINES")},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._ours)
        os.close(self._theirs)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, text: str) -> str:
        """What is shown from now on up to where it shows that."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.shown[self._seen :][-2000:]!r}"
            self._read(1.0)
        begin = self._seen
        self._seen = self.shown.index(text, begin) + len(text)
        return self.shown[begin : self._seen]

    def end(self) -> int:
        """Its exit code, once it has ended and all it showed was read."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end: {self.shown[-500:]!r}"
            self._read(0.1)
        while self._read(0.0):
            pass
        return self.process.returncode

    def modes_now(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        self.shown += os.read(self._ours, 1 << 16).decode("utf-8", "replace")
        return True
