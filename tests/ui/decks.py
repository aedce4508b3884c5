"""Decks: an application in a folder of its own, run by real command lines."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.ui.running import COMMAND, PATIENCE_S, environ

SERVES = ["sh", "-c", "echo up; exec sleep 10000"]
"""Says that it is up, and stays."""
STUBBORN = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]
"""Does not end when it is asked to."""


def process(name: str, command: list[str], **keys: Any) -> str:
    """A table of a quarterdeck.toml, by default ready once it said that it is up."""
    keys = {"ready": {"log": "up"}, **keys}
    lines = [f"[process.{name}]", f"command = {json.dumps(command)}"]
    lines += [f"{key} = {_toml(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


class Deck:
    """A folder with a quarterdeck.toml, and what is run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / ".quarterdeck"
        self._environ = {"XDG_RUNTIME_DIR": str(folder), "XDG_DATA_HOME": str(folder / "share")}
        self._started: list[subprocess.Popen[str]] = []
        self._seen: set[psutil.Process] = set()

    def write(self, *tables: str) -> None:
        """Write the file."""
        (self.folder / "quarterdeck.toml").write_text("\n".join(tables))

    def run(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command line there to its end."""
        return subprocess.run(
            [*COMMAND, *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environ(**self._environ, **more),
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self, *args: str, by: Sequence[str] = (), **options: Any) -> Running:
        """Start a command line there, its output piped; `by` is a command that becomes it."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        started = subprocess.Popen(
            [*by, *COMMAND, *args],
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
            env=environ(**self._environ),
            **options,
        )
        self._started.append(started)
        return Running(self, started)

    def snapshot(self) -> dict[str, Any]:
        """The launcher's state."""
        done = self.run("snapshot")
        assert done.returncode == 0, done.stderr
        state: dict[str, Any] = json.loads(done.stdout)
        return state

    def states(self) -> dict[str, str]:
        """The state of each child."""
        return {row["name"]: row["state"] for row in self.snapshot()["children"]}

    def launcher_pid(self) -> int:
        """Who holds the folder."""
        return int(json.loads((self.data / "launcher.lock").read_text())["pid"])

    def remember(self) -> None:
        """Note every process below the launcher, to see later that it is gone."""
        launcher = psutil.Process(self.launcher_pid())
        self._seen |= {launcher, *launcher.children(recursive=True)}

    def expect_nothing_left(self) -> None:
        """Whatever was noted is gone."""
        assert self._seen
        assert psutil.wait_procs(self._seen, timeout=PATIENCE_S)[1] == []

    def put_away(self) -> None:
        """End what was started here and still runs, and wait until it is gone: the folder goes next."""
        for process in (living := self._living()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(living, timeout=PATIENCE_S)
        for started in self._started:
            if started.poll() is None:
                started.kill()
            started.wait(PATIENCE_S)
            for stream in (started.stdout, started.stderr):
                if stream is not None:
                    stream.close()

    def _living(self) -> list[psutil.Process]:
        """The launcher that holds the folder, if one does, and all below it."""
        try:
            launcher = psutil.Process(self.launcher_pid())
            if str(self.folder) not in " ".join(launcher.environ().values()):
                return []  # it is another's, who has the pid now
            launcher.suspend()  # it starts nobody meanwhile
            return [launcher, *launcher.children(recursive=True)]
        except (OSError, ValueError, psutil.Error):
            return []


class Running:
    """A command line that runs."""

    def __init__(self, deck: Deck, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._deck = deck

    def until(self, words: str) -> list[str]:
        """The lines of its output up to one with these words in it."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if words in line:
                return lines
        raise AssertionError(f"it ended before it said {words!r}; it said {lines}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, list[str], str]:
        """Its exit code, the rest of its output, and what it wrote to standard error; once it has ended."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.splitlines(), err


@contextmanager
def deck() -> Iterator[Deck]:
    """A deck in a folder with a short path, which is put away at the end."""
    with tempfile.TemporaryDirectory(prefix="qd-", dir="/tmp") as folder:
        deck = Deck(Path(folder))
        try:
            yield deck
        finally:
            deck.put_away()
