"""What docs/protocol.md, docs/client.md and README.md show is done here, against a real launcher, and compared.

An HTML comment above a fenced block says what it is; `_blocks` finds them:

    <!-- session KEY=VALUE … -->         `> LINE` is sent, `< LINE` must come back, byte for byte, and nothing else;
                                         `name> LINE` is another client; (end of file), (close), (connect) do that
    <!-- talk.py -->                     the program for speaking by hand; the first session is also typed into it
    <!-- shell -->                       a command behind `$ `, and what it prints
    <!-- expression -->                  Python: each `expression  # value` is what it says
    <!-- runs until "TEXT" restart -->   a Python program: it ends by itself with 0, or prints TEXT and then is ended;
                                         `restart`: the launcher is started anew once it has printed a line;
                                         `KEY=VALUE …` as above

In a session `$PID` is the pid of the client without a name, `$NAME` that of the client `name`; any other `$NAME` is
what came first in its place, and `…` is any text.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from quarterdeck.client import BlockingClient, connect_blocking
from quarterdeck.config import describe
from quarterdeck.core.reducer import TABLE
from quarterdeck.schema.commands import COMMAND_NAMES, COMMAND_TYPES
from quarterdeck.schema.events import ProcessSpawned
from quarterdeck.schema.replies import REPLY_NAMES
from quarterdeck.schema.types import ErrorCode
from quarterdeck.transport import endpoint
from tests.launching import Launcher

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "docs" / "protocol.md"
CLIENT = ROOT / "docs" / "client.md"
README = ROOT / "README.md"
DEADLINE_S = 40.0

_MARKED = re.compile(r"^<!-- (?P<mark>[^\n]*?) -->\n+```\w*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
_STEP = re.compile(r"(?P<name>[a-z]*)(?P<mark>[<>]) (?P<rest>.*)")
_NAMED = re.compile(r"\$([A-Z_]+)")


class Block(NamedTuple):
    """A fenced block: its mark, its text, and the line of its file where the text begins."""

    mark: str
    text: str
    line: int


def _blocks(path: Path, mark: str) -> list[Block]:
    text = path.read_text()
    found = [
        Block(m["mark"], m["text"], text.count("\n", 0, m.start("text")) + 1)
        for m in _MARKED.finditer(text)
        if m["mark"].split()[0] == mark
    ]
    assert found, f"no block of {path.name} is marked {mark!r}"
    return found


def _python_of_readme() -> list[Block]:
    """The README's Python is not marked: each piece goes on for ever, and is ended when it has printed this. Only the
    first one imports.
    """
    until = ["Published(", "left: "]
    texts = [m["text"] for m in _FENCED.finditer(README.read_text()) if m["language"] == "python"]
    assert len(texts) == len(until), "say here what the new piece of the README prints"
    return [
        Block(f'runs until "{said}"', "import quarterdeck\n" + text, 0) for said, text in zip(until, texts, strict=True)
    ]


@pytest.fixture(scope="module")
def pids() -> Iterator[list[int]]:
    """Processes of ours that do nothing: a client may register for a descendant of its process."""
    idle = [
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        for _ in range(4)
    ]
    yield [process.pid for process in idle]
    for process in idle:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


# -- Sessions


class Speaker:
    """One client of a session, on a bare socket."""

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self.pid = pid
        self.connect()

    def connect(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(self.address)
        self.lines = self.socket.makefile("rb")
        self.is_open = True

    def send(self, rest: str) -> None:
        if rest == "(end of file)":
            self.socket.shutdown(socket.SHUT_WR)
        elif rest == "(close)":
            self.close()
        elif rest == "(connect)":
            self.close()
            self.connect()
        else:
            self.socket.sendall(rest.encode() + b"\n")

    def line(self) -> str:
        line = self.lines.readline()
        if not line:
            self.close()
            return "(end of file)"
        return line.decode().removesuffix("\n")

    def close(self) -> None:
        self.is_open = False
        self.lines.close()
        self.socket.close()


class Stage:
    """Plays one session."""

    def __init__(self, address: str, pids: list[int]) -> None:
        self._address = address
        self._pids = [os.getpid(), *pids]
        self._known: dict[str, str] = {}
        self.speakers: dict[str, Speaker] = {}

    def play(self, text: str) -> None:
        for line in text.splitlines():
            step = _STEP.fullmatch(line)
            assert step or not line.strip() or line.startswith("#"), f"no step of a session: {line}"
            if step:
                self._step(self._speaker(step["name"]), step["mark"], step["rest"], line)
        for name, speaker in self.speakers.items():
            if speaker.is_open:
                speaker.send('{"cmd":"ping","nonce":424242}')
                assert '"nonce":424242' in (left := speaker.line()), f"{name}: this came and is not printed: {left}"
                speaker.close()

    def _speaker(self, name: str) -> Speaker:
        if name not in self.speakers:
            pid = self._pids[len(self.speakers)]
            self._known[name.upper() or "PID"] = str(pid)
            self.speakers[name] = Speaker(self._address, pid)
        return self.speakers[name]

    def _step(self, speaker: Speaker, mark: str, rest: str, printed: str) -> None:
        if mark == ">":
            speaker.send(_NAMED.sub(lambda found: self._known[found[1]], rest))
            return
        came = speaker.line()
        found = re.fullmatch(self._pattern(rest), came)
        assert found, f"printed: {printed}\ncame:    {came}"
        self._known.update(found.groupdict())

    def _pattern(self, rest: str) -> str:
        """A printed line as a regular expression that names what is not known yet."""
        pattern, fresh = "", set[str]()
        for index, part in enumerate(_NAMED.split(rest)):
            if index % 2 == 0:
                pattern += re.escape(part).replace("…", ".*")
            elif part in self._known:
                pattern += re.escape(self._known[part])
            elif part in fresh:
                pattern += f"(?P={part})"
            else:
                fresh.add(part)
                pattern += f'(?P<{part}>[^",]+)'
        return pattern


@contextmanager
def _launched(block: Block) -> Iterator[Launcher]:
    """A launcher with the settings that a block's mark gives."""
    words = re.sub(r'"[^"]*"', "", block.mark).split()
    options = [part for word in words if "=" in word for part in ("--set", word)]
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        launcher = Launcher(Path(folder), *options)
        launcher.start()
        try:
            yield launcher
        finally:
            if launcher.is_running:
                launcher.stop()


@pytest.mark.parametrize("block", _blocks(PROTOCOL, "session"), ids=lambda block: f"line{block.line}")
def test_what_is_sent_is_answered_as_printed(block: Block, pids: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    with _launched(block) as launcher:
        Stage(launcher.endpoint, pids).play(block.text)
        code = launcher.wait() if '"cmd":"quit"' in block.text else launcher.stop()
    assert code == 0
    assert "Traceback" not in capfd.readouterr().err


def test_first_session_can_be_typed(launcher: Launcher, tmp_path: Path) -> None:
    """`talk.py` as it is printed, given the first session line by line as a person would."""
    program = tmp_path / "talk.py"
    program.write_text(_blocks(PROTOCOL, "talk.py")[0].text)
    talk = subprocess.Popen(
        [sys.executable, str(program), launcher.endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert talk.stdin is not None
    assert talk.stdout is not None
    try:
        for step in filter(None, map(_STEP.fullmatch, _blocks(PROTOCOL, "session")[0].text.splitlines())):
            if step["mark"] == ">":
                talk.stdin.write(step["rest"] + "\n")
                talk.stdin.flush()
            elif step["rest"] != "(end of file)":
                came = talk.stdout.readline()
                assert came.startswith("< {"), came
                assert json.loads(came[2:])["event"] == json.loads(_NAMED.sub("0", step["rest"]))["event"]
        talk.stdin.close()
        assert talk.stdout.read() == ""
        assert talk.wait(DEADLINE_S) == 0
    finally:
        talk.kill()
        talk.wait()
        talk.stdin.close()
        talk.stdout.close()


def test_commands_in_the_shell_answer_as_printed(launcher: Launcher) -> None:
    for block in _blocks(PROTOCOL, "shell"):
        command, *printed = block.text.splitlines()
        words = shlex.split(command.removeprefix("$ "))
        assert words[0] == "quarterdeck"
        done = subprocess.run(
            [sys.executable, "-m", *words], capture_output=True, text=True, env=_environment(launcher), check=True
        )
        assert done.stdout.splitlines() == printed


def test_address_is_computed_as_printed() -> None:
    """The function for finding the address gives what it says, and what the launcher gives."""
    (block,) = _blocks(PROTOCOL, "expression")
    names: dict[str, object] = {}
    exec(block.text, names)
    for expression, value in re.findall(r"^(\S.*?)  # (.*)$", block.text, re.MULTILINE):
        assert eval(expression, names) == ast.literal_eval(value)
    address_of = names["hash16"]
    assert callable(address_of)
    for folder in (Path("/srv/my-app"), Path.home(), ROOT / "docs"):
        assert address_of(str(folder)) == endpoint.hash16(folder)


# -- What must not be forgotten


def test_every_command_is_explained() -> None:
    """The table of commands names each one, and each one has a rule."""
    served = re.findall(r"^### Served\n(.*?)^(?=##)", PROTOCOL.read_text(), re.DOTALL | re.MULTILINE)
    assert _commands_of(served[0]) == COMMAND_NAMES
    assert {kind for kind in COMMAND_TYPES if kind not in TABLE} == set()


def _commands_of(table: str) -> set[str]:
    """The commands in the first column of a table."""
    return {name for cell in re.findall(r"^\| ([^|]*)", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)}


def test_every_error_code_and_reply_is_explained() -> None:
    text = PROTOCOL.read_text()
    assert set(re.findall(r"^\| `(\w+)` \| (?:no|yes|by case)", text, re.MULTILINE)) == set(get_args(ErrorCode))
    assert {name for name in REPLY_NAMES if f"`{name}`" not in text} == set()


def _anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", [PROTOCOL, CLIENT], ids=lambda path: path.name)
def test_links_and_settings_exist(path: Path) -> None:
    text = path.read_text()
    links = {(path.parent / (target or path.name), anchor) for target, anchor in _LINK.findall(text)}
    assert {target for target, _ in links if not target.exists()} == set()
    assert {(target.name, anchor) for target, anchor in links if anchor and anchor not in _anchors(target)} == set()
    assert set(re.findall(r"`(limits\.\w+)", text)) <= {setting.key for setting in describe()}


# -- Programs


RUN = """
import ast, asyncio, inspect, sys
name = sys.argv[1]
done = eval(compile(open(name).read(), name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), {"__name__": "__main__"})
if inspect.iscoroutine(done):
    asyncio.run(done)
"""
"""Runs a file that may have `await` outside of functions, as `python -m asyncio` takes it."""


def _environment(launcher: Launcher) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "QUARTERDECK_ENDPOINT": launcher.endpoint,
    }


def _indexer(launcher: Launcher, pid: int) -> BlockingClient:
    indexer = connect_blocking(endpoint=launcher.endpoint, kind="srv", name="indexer", pid=pid)
    indexer.report_status({"state": "ready"})
    return indexer


def _meet(launcher: Launcher, pids: list[int]) -> None:
    """What every program sees happen: an indexer works and says goodbye, a second start, a renderer crashes. No pid
    comes twice: a mirror may be ahead of an event, and would show the later one.
    """
    with _indexer(launcher, pids[0]) as indexer:
        indexer.publish("files", {"found": 3})
    with connect_blocking(endpoint=launcher.endpoint, kind="tool", pid=pids[1]) as second:
        second.activate(["editor", "a.txt"], "/home/me")
    connect_blocking(endpoint=launcher.endpoint, kind="renderer", name="page", pid=pids[2]).abort()


def _wait_for(watcher: BlockingClient, kind: type[ProcessSpawned], pid: int) -> None:
    next(event for event in watcher.events(timeout_s=DEADLINE_S) if isinstance(event, kind) and event.pid == pid)


def _run(block: Block, folder: Path, pids: list[int], launcher: Launcher) -> None:
    """Run a program beside what `_meet` does, and see it through."""
    (folder / "snippet.py").write_text(block.text)
    until = re.search(r'until "(.*)"', block.mark)
    with (folder / "stderr").open("w+") as stderr:
        program = subprocess.Popen(
            [sys.executable, "-c", RUN, "snippet.py"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=folder,
            env=_environment(launcher),
        )
        assert program.stdout is not None
        try:
            with connect_blocking(endpoint=launcher.endpoint, pid=pids[3]) as watcher:
                before = map(watcher.decode, watcher.get_events(0).events)
                if not any(isinstance(event, ProcessSpawned) and event.pid == program.pid for event in before):
                    _wait_for(watcher, ProcessSpawned, program.pid)
            _meet(launcher, pids)
            if "restart" in block.mark.split():
                assert program.stdout.readline(), Path(stderr.name).read_text()
                launcher.stop()
                launcher.restart()
            with _indexer(launcher, pids[3]) if until is None else nullcontext():  # it is back, and stays
                _see_through(program, until[1] if until else None, stderr.name)
        finally:
            program.kill()
            program.wait()
            program.stdout.close()


def _see_through(program: subprocess.Popen[str], until: str | None, stderr: str) -> None:
    assert program.stdout is not None
    said = []
    for line in program.stdout:
        said.append(line)
        if until is not None and until in line:
            return
    code = program.wait()
    complaint = Path(stderr).read_text()
    assert until is None, f"it never printed {until!r}: {said}\n{complaint}"
    assert code == 0, complaint
    assert "Traceback" not in complaint, complaint


PROGRAMS = [
    *(pytest.param(block, id=f"readme{number}") for number, block in enumerate(_python_of_readme(), 1)),
    *(pytest.param(block, id=f"client_line{block.line}") for block in _blocks(CLIENT, "runs")),
]


@pytest.mark.parametrize("block", PROGRAMS)
def test_programs_run_as_printed(
    block: Block, tmp_path: Path, pids: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    with _launched(block) as launcher:
        _run(block, tmp_path, pids, launcher)
        assert launcher.stop() == 0
    assert "Traceback" not in capfd.readouterr().err
