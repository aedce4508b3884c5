"""Demo: a short story with a launcher, told by its own events.

Rules: it waits for events, never for a time. Every sentence shown is an event that came; an event that does not come
in time ends the demo with an error. Whatever happens, no process and no folder is left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from quarterdeck.client import BlockingClient, Cursor, Told, connect_blocking
from quarterdeck.errors import Timeout
from quarterdeck.schema.events import (
    LifecyclePhaseChanged,
    ProcessExited,
    ProcessSpawned,
    ProcessStatusChanged,
    Published,
    StreamEvent,
)
from quarterdeck.ui import sentences
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.screen import Screen

STORY_SECONDS_MAX: Final = 18.0
_PATIENCE_S: Final = 3.0
"""How long a process may take to end after it was asked, before it is killed."""

Match = Callable[[Told], bool]


def tell(screen: Screen) -> None:
    """Tell the whole story. Raises: Failure where it did not go as it should."""
    examples = find_examples()
    with ExitStack() as stack:
        # Short, private (0700), and gone afterwards: the socket and its lock lie in it as well.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quarterdeck-demo-")))
        stage = Stage(folder, stack)
        Story(screen, stage, examples).tell()


def find_examples() -> Path:
    """The folder of the examples: the repository's, or the one that came with the package. Raises: Failure."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parents[1] / "examples", package / "examples"):
        if (folder / "service.py").is_file():
            return folder
    raise Failure("the demo needs the folder examples/, which is not installed; run `make demo` in the repository")


class Stage:
    """The processes of the story; the stack ends what still runs."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._environ = dict(os.environ)
        self._environ.pop("QUARTERDECK_ENDPOINT", None)

    def start_launcher(self) -> tuple[subprocess.Popen[str], str]:
        """Start a launcher and wait for its line; returns it and its address. Raises: Failure."""
        arguments = ["--data-dir", str(self.folder)]
        if sys.platform != "win32":
            arguments += ["--endpoint", str(self.folder / "launcher.sock")]
        launcher = self.start(sys.executable, "-m", "quarterdeck", "serve", *arguments, "--set", "log_level=error")
        said = dict(word.partition("=")[::2] for word in self.read_line(launcher).split())
        if "endpoint" not in said:
            raise Failure("the demo's launcher did not start; see its words above")
        self._environ["QUARTERDECK_ENDPOINT"] = said["endpoint"]
        return launcher, said["endpoint"]

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a program that finds the launcher; its standard output can be read, its errors are shown."""
        process = subprocess.Popen(argv, env=self._environ, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self._stack.callback(_end, process)
        return process

    def read_line(self, process: subprocess.Popen[str]) -> str:
        """The next line that a process prints; empty where it ended, or took longer than the whole story may."""
        assert process.stdout is not None
        too_long = threading.Timer(STORY_SECONDS_MAX, process.kill)
        too_long.start()
        try:
            return process.stdout.readline()
        finally:
            too_long.cancel()


class Story:
    """The acts, and what they were waiting for."""

    def __init__(self, screen: Screen, stage: Stage, examples: Path) -> None:
        self._screen = screen
        self._stage = stage
        self._examples = examples
        self._deadline = monotonic() + STORY_SECONDS_MAX
        self._seen: list[Told] = []
        self._done: list[str] = []

    def tell(self) -> None:
        """All acts in order."""
        self._act("A launcher on a throw-away folder")
        launcher, endpoint = self._stage.start_launcher()
        self._screen.line(f"        it listens at {endpoint}, pid {launcher.pid}")
        watcher = connect_blocking(kind="tool", name="watcher", endpoint=endpoint, reconnect=False)
        with watcher:
            self._events = watcher.events(timeout_s=STORY_SECONDS_MAX)
            self._expect("the watcher's own registration", spawned("watcher"))
            self._register_and_publish(watcher)
            cursor = Cursor(watcher.run_id, sentences.version_of(self._seen[-1]))
            self._crash()
            self._newcomer(cursor)
            self._quit(watcher, launcher)
        self._sum_up()

    def _register_and_publish(self, watcher: BlockingClient) -> None:
        self._act("A Python service registers (examples/service.py)")
        self._service = self._stage.start(sys.executable, str(self._examples / "service.py"))
        self._expect("the service's registration", spawned("indexer", self._service.pid))
        self._expect("the service's status", status({"state": "idle"}))
        self._did("a Python service registered and reported a status")
        self._node: subprocess.Popen[str] | None = None
        if shutil.which("node") is None:
            self._act("Node.js is not installed: the watcher asks in its place")
            watcher.publish("index", {"folder": "docs"})
        else:
            self._act("A client in JavaScript asks it for something (examples/node_client.js)")
            self._node = self._stage.start("node", str(self._examples / "node_client.js"))
            self._expect("the Node.js client's registration", spawned("node", self._node.pid))
        self._expect("the question", published("index"))
        self._expect("the service's answer", published("indexed"))
        self._expect("the service's status", status({"state": "idle"}))
        who = "the watcher" if self._node is None else "a Node.js client"
        self._did(f"{who} asked the service through the launcher, and was answered")

    def _crash(self) -> None:
        self._act("Any program can be wrapped (quarterdeck wrap -- sleep 60)")
        wrap = self._stage.start(sys.executable, "-m", "quarterdeck", "wrap", "--name", "sleep", "--", *_long_sleep())
        wrapped = self._expect("the wrapped program's registration", spawned("sleep"))
        assert isinstance(wrapped, ProcessSpawned)
        self._act(f"The service is killed with SIGKILL: the launcher says goodbye for it (pid {self._service.pid})")
        self._service.kill()
        self._expect("the service's synthetic goodbye", exited(self._service.pid, synthetic=True))
        self._did("the service was killed, and the launcher told a synthetic goodbye for it")
        if self._node is not None:
            self._expect("what the Node.js client noticed", published("noticed"))
            self._expect("the Node.js client's goodbye", exited(self._node.pid, synthetic=False))
            self._did("the Node.js client noticed it, told everybody, and said goodbye itself")
        self._act("So is the wrapped program")
        code = _kill(wrapped.pid)
        self._expect("the wrapped program's synthetic goodbye", exited(wrapped.pid, synthetic=True))
        self._check_end(wrap, "wrap", code)
        self._did("a wrapped sleep was killed and told in the same way, without a line of code of its own")

    def _newcomer(self, cursor: Cursor) -> None:
        self._act(f"A newcomer resumes from version {cursor.version}, and is told what it missed (quarterdeck watch)")
        missed = [event for event in self._seen if sentences.version_of(event) > cursor.version]
        since = ("--since", str(cursor.version), "--run", cursor.run_id, "--count", str(len(missed) + 1))
        newcomer = self._stage.start(sys.executable, "-m", "quarterdeck", "watch", "--json", *since)
        for expected in missed:  # the line after them is its own registration
            line = self._stage.read_line(newcomer)
            event = msgspec.json.decode(line, type=StreamEvent) if line else None
            if event != expected:
                raise Failure(f"the demo expected the newcomer to be told next: {sentences.sentence(expected)}")
            self._screen.line(f"missed{sentences.numbered(event)}", sentences.colour(event))
        self._expect("the newcomer's registration", spawned("watch", newcomer.pid))
        self._expect("the newcomer's goodbye", exited(newcomer.pid, synthetic=False))
        self._check_end(newcomer, "the newcomer", 0)
        self._did(f"a newcomer resumed from a cursor and got exactly the {len(missed)} events that it had missed")

    def _quit(self, watcher: BlockingClient, launcher: subprocess.Popen[str]) -> None:
        self._act("The launcher is told to quit")
        watcher.quit("user_exit")
        self._expect("the end", lambda event: isinstance(event, LifecyclePhaseChanged) and event.to == "dead")
        self._check_end(launcher, "the launcher", 0)
        self._did("the launcher ended in good order")

    def _sum_up(self) -> None:
        versions = [sentences.version_of(event) for event in self._seen]
        if versions != list(range(versions[0], versions[0] + len(versions))):
            raise Failure(f"the demo expected versions without a gap, and saw {versions}")
        self._act(f"What you saw, in {len(versions)} events without a gap")
        for line in self._done:
            self._screen.line(f"  - {line}")

    def _act(self, title: str) -> None:
        self._screen.line("")
        self._screen.line(f"== {title}", "bold")

    def _did(self, what: str) -> None:
        self._done.append(what)

    def _expect(self, what: str, matches: Match) -> Told:
        """Show events until one matches, and return it. Raises: Failure."""
        while True:
            event = self._next(self._events, what)
            self._seen.append(event)
            self._screen.line(sentences.numbered(event), sentences.colour(event))
            if matches(event):
                return event

    def _next(self, events: Iterator[Told], what: str) -> Told:
        try:
            event = next(events, None) if self._left() else None
        except Timeout:
            event = None
        if event is None:
            raise Failure(f"the demo expected {what}, and it did not come")
        return event

    def _left(self) -> float:
        return max(0.0, self._deadline - monotonic())

    def _check_end(self, process: subprocess.Popen[str], who: str, expected: int) -> None:
        try:
            code = process.wait(self._left())
        except subprocess.TimeoutExpired:
            raise Failure(f"the demo expected {who} to end, and it did not") from None
        if code != expected:
            raise Failure(f"the demo expected {who} to end with code {expected}, and it was {code}")


def spawned(name: str, pid: int | None = None) -> Match:
    """Matches the registration of that name, and of that pid if one is given."""
    return lambda event: isinstance(event, ProcessSpawned) and event.name == name and pid in {None, event.pid}


def exited(pid: int, *, synthetic: bool) -> Match:
    """Matches the end of that pid's registration, said by itself or for it."""
    return lambda event: isinstance(event, ProcessExited) and (event.pid, event.synthetic) == (pid, synthetic)


def status(reported: dict[str, str]) -> Match:
    """Matches that report."""
    return lambda event: isinstance(event, ProcessStatusChanged) and event.status == reported


def published(topic: str) -> Match:
    """Matches a payload under that topic."""
    return lambda event: isinstance(event, Published) and event.topic == topic


def _kill(pid: int) -> int:
    """End a wrapped program without a word, and return the code that its `wrap` ends with then."""
    if sys.platform == "win32":
        os.kill(pid, signal.SIGTERM)  # there: at once, with this as its code
        return signal.SIGTERM
    os.kill(pid, signal.SIGKILL)
    return 128 + signal.SIGKILL


def _long_sleep() -> list[str]:
    if shutil.which("sleep"):
        return ["sleep", "60"]
    return [sys.executable, "-c", "import time; time.sleep(60)"]


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that may still run, at first politely: wrap passes that on to its program."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
