"""Running: launchers and command lines as real processes, for the tests of this folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "quarterdeck")
PATIENCE_S = 60.0
ANSWER_S = 50.0
"""How long a command waits for its launcher here: a machine that stands still for a while is no fault of ours."""


def environ(endpoint: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a command: ours, and no other launcher than the one of the test."""
    others = ("QUARTERDECK_", "_QUARTERDECK", "NO_COLOR", "FORCE_COLOR", "COLORTERM")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {
        **clean,
        "TERM": "xterm",
        "QUARTERDECK_ANSWER_WITHIN": str(ANSWER_S),
        **({} if endpoint is None else {"QUARTERDECK_ENDPOINT": endpoint}),
        **more,
    }


class Launcher:
    """A real launcher in a folder; `line` is what it said when it listened."""

    def __init__(self, folder: Path, *options: str, endpoint: str | None = None) -> None:
        self.folder = folder
        self.endpoint = endpoint or str(folder / "l.sock")
        arguments = ("serve", "--data-dir", str(folder), "--endpoint", self.endpoint, *options)
        self.process = start(*arguments, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.pid = self.process.pid

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command that finds this launcher in its environment."""
        return run(*args, stdin=stdin, endpoint=self.endpoint)

    def start(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        """Start a command that finds this launcher in its environment."""
        return start(*args, endpoint=self.endpoint, **more)

    def watch(self, *args: str) -> Watch:
        """Start a watcher and wait until it is registered."""
        return Watch(self, *args)

    def stop(self) -> int:
        """End it as a user would, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Watch:
    """`quarterdeck watch --json` of a launcher, since its beginning."""

    def __init__(self, launcher: Launcher, *args: str) -> None:
        self.process = launcher.start("watch", "--json", "--since", "0", *args, stdout=subprocess.PIPE)

    def until(self, event: str, **members: Any) -> dict[str, Any]:
        """Read events until one has that name and those members."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            value: dict[str, Any] = json.loads(line)
            if value["event"] == event and all(value[name] == member for name, member in members.items()):
                return value
        raise AssertionError(f"the watcher ended before {event} {members} came")

    def stop(self) -> int:
        """End it by Ctrl-C, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def run(
    *args: str, stdin: str = "", endpoint: str | None = None, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    return subprocess.run(
        [*COMMAND, *args],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environ(endpoint, **more),
        timeout=PATIENCE_S,
        check=False,
    )


def start(*args: str, endpoint: str | None = None, **more: Any) -> subprocess.Popen[str]:
    """Start a command line."""
    return subprocess.Popen([*COMMAND, *args], env=environ(endpoint), text=True, **more)


def run_on_terminal(args: Sequence[str], *, endpoint: str | None = None) -> tuple[int, str]:
    """Run a command line with a terminal as its standard output; returns its exit code and what it showed."""
    return on_terminal(lambda theirs: start(*args, endpoint=endpoint, stdout=theirs, stdin=subprocess.DEVNULL))


def on_terminal(begin: Callable[[int], subprocess.Popen[str]]) -> tuple[int, str]:
    """Let a process begin that has a terminal, whose descriptor is given; its exit code and what it showed."""
    import pty

    ours, theirs = pty.openpty()
    try:
        process = begin(theirs)
    finally:
        os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 65_536):
            shown += block
    except OSError:  # EIO: the last one who had the terminal open has gone
        pass
    finally:
        os.close(ours)
    return process.wait(PATIENCE_S), shown.decode()
