"""Launched: a real launcher process on a real socket, and what the system tells of it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server.raw import DEADLINE_S, Raw

MIB = 1 << 20


def serve_command(
    folder: Path, settings: dict[str, Any], data_dir: Path | None = None, options: Sequence[str] = ()
) -> list[str]:
    """`quarterdeck serve` with its data and its socket in one folder, or its data elsewhere."""
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    where = ["--data-dir", str(data_dir or folder), "--endpoint", str(folder / "s.sock")]
    return [sys.executable, "-m", "quarterdeck", "serve", *where, *given, *options]


def short_folder() -> Path:
    """A folder whose path leaves room for a socket's name, which may have 107 bytes in all."""
    return Path(tempfile.mkdtemp(prefix="qd-", dir="/tmp"))


class Growth:
    """How many bytes the most memory used at once, during a `with`, was above what was used before it."""

    def __init__(self) -> None:
        self.bytes = 0


class Launched:
    """One launcher, from when it listens."""

    def __init__(
        self,
        settings: dict[str, Any],
        folder: Path | None = None,
        *,
        data_dir: Path | None = None,
        inside: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        options: Sequence[str] = (),
        may_break_down: bool = False,
    ) -> None:
        """`inside` is a command that becomes the one behind it, and gets these descriptors; `options` are more of
        `serve`. `may_break_down`: tracebacks in the log are what the test is about.
        """
        self._may_break_down = may_break_down
        self._own = folder is None
        self.folder = folder or short_folder()
        self.address = str(self.folder / "s.sock")
        self.log = self.folder / "stderr"
        self._pids = itertools.count(1_000_001)
        self._clients: list[Raw] = []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*inside, *serve_command(self.folder, settings, data_dir, options)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=pass_fds,
            )
        self.pid = self.process.pid
        assert self.process.stdout is not None
        said = self.process.stdout.readline().decode()
        assert f"listening pid={self.pid} endpoint={self.address} " in said, said + self.log.read_text()

    # -- Clients

    def connect(self, **options: Any) -> Raw:
        """A new connection; it is closed at the latest when the launcher is put away."""
        client = Raw(self.address, **options)
        self._clients.append(client)
        return client

    def join(self, kind: str = "tool", pid: int | None = None, **members: Any) -> Raw:
        """A new connection that is registered, by default under a pid that nobody else has (`pid_check=off`)."""
        client = self.connect()
        client.register(pid or self.new_pid(), kind, **members)
        return client

    def quiet(self, **members: Any) -> Raw:
        """A registered connection that is sent no stream events."""
        return self.join(subscribe={"events": ["host_should_quit"]}, **members)

    def new_pid(self) -> int:
        return next(self._pids)

    # -- What the system tells

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def status(self, member: str) -> int:
        """A number of /proc/<pid>/status; proc_pid_status(5)."""
        found = re.search(rf"^{member}:\s*(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    @contextmanager
    def growth(self) -> Iterator[Growth]:
        """Measure the peak of memory; nothing is sampled, the kernel keeps it (clear_refs in proc(5))."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        before = self.status("VmHWM")
        growth = Growth()
        yield growth
        growth.bytes = (self.status("VmHWM") - before) * 1024

    # -- The end

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; returns the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(timeout=DEADLINE_S)

    def put_away(self) -> None:
        """End it if it lives, close every client, and hold it to having failed at nothing."""
        for client in self._clients:
            client.close()
        try:
            code = self.end() if self.process.poll() is None else 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        said = self.log.read_text()
        if self._own:
            shutil.rmtree(self.folder)  # the lock files among the rest: nobody listens here again
        assert self._may_break_down or "Traceback" not in said, said
        assert code == 0, said
