"""Whatever a name, a payload, a title, a file or a child's output holds: of a command's words only printing characters
and our own colours reach a terminal, and JSON stays JSON. For every command there is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from quarterdeck.ui.group import COMMAND_NAMES, quarterdeck
from tests.server.raw import Raw
from tests.ui.decks import Deck, process
from tests.ui.running import COMMAND, PATIENCE_S, environ, on_terminal

EVIL = "\x1b]0;owned\x07\x1b[31;58m\x9b66;66H\x90q\x85\x7f\r\x08\u202eevil\u2028\u2066\ufeff\U000e0001\xad"
"""A title, a colour, moving about, C1 controls, going back, a bidirectional override, other ends of a line, tags."""
NAME = EVIL.replace("\x1b", "")  # a file's name may hold all but `/` and NUL
NEWLINES = f"{EVIL}\n\x1b[2J\nquarterdeck: all is well"

OURS = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d*[ABGJK]|\x1b\[\?25[hl]|\r")
"""Colours, and what a line that is written anew takes."""
NEVER = ("\x1b[31;58m", "\x1b[2J", "\x1b]", "\x9b", "\x90", "\u202e", "\u2028", "\x08", "\x07", "\x7f", "\x85")


def toml(written: str) -> str:
    """What JSON writes as two halves, TOML writes as one."""
    return written.replace("\\udb40\\udc01", "\\U000e0001")


def assert_harmless(shown: str, what: object) -> None:
    """Only printing characters, ends of lines, and our own colours."""
    for never in NEVER:
        assert never not in shown, (what, never, shown)
    lines = OURS.sub("", shown.replace("\r\n", "\n")).split("\n")
    for line in lines:
        assert line.replace("\t", "").isprintable(), (what, line)
        assert not line.startswith("quarterdeck: all is well"), (what, "a line that it made up itself")


# -- A world that is hostile in every text that there is


class World:
    """A launcher, a child, a host and a publisher with hostile texts wherever the protocol takes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / NAME
        self.folder.mkdir()
        self.deck = Deck(self.folder)
        self.environ = environ(XDG_RUNTIME_DIR=str(folder), XDG_DATA_HOME=str(folder / "share"))
        says = ["sh", "-c", 'printf "%s\\n" "$@"; echo up; exec sleep 10000', "sh", NAME, NEWLINES]
        fails = ["sh", "-c", 'printf "%s\\n" "$@"; exit 1', "sh", NEWLINES]
        web = process("web", says, env={"TITLE": EVIL})
        self.deck.write(toml(web), toml(process("broken", fails, restarts_max=1, autostart=False)))
        done = self.plain("up", "-d")
        assert done.returncode == 0, done.stderr
        address = self.plain("endpoint").stdout.rstrip("\n")
        self.host = Raw(address)
        self.live()

    def live(self) -> None:
        self.host.send(
            {"cmd": "register", "kind": "host", "pid": os.getpid(), "version": EVIL, "name": EVIL},
            {"cmd": "report_window_opened", "label": EVIL, "kind": "full_instance", "parent_label": None},
            {"cmd": "report_window_opened", "label": "sub", "kind": "subwindow", "parent_label": EVIL},
            {"cmd": "report_backend_window_id_registered", "label": EVIL, "window_id": EVIL},
            {"cmd": "report_hwnd_opened", "hwnd": 7, "class_name": EVIL, "title": EVIL, "label_hint": EVIL},
            {"cmd": "report_window_opened", "label": f"lost {EVIL}", "kind": "full_instance", "parent_label": None},
            {"cmd": "report_hwnd_opened", "hwnd": 8, "class_name": "", "title": "", "label_hint": f"lost {EVIL}"},
            {"cmd": "report_hwnd_destroyed", "hwnd": 8},
            {"cmd": "report_pool_window_added", "label": f"pool {EVIL}"},
            {"cmd": "report_pool_window_promoted", "label": f"pool {EVIL}"},
            {"cmd": "report_startup_stage_begin", "stage": EVIL, "label": EVIL},
            {"cmd": "report_startup_stage_end", "stage": EVIL, "duration_ms": 1, "status": "error", "detail": EVIL},
            {"cmd": "report_saga_action_failed", "saga_id": 1, "reason": EVIL},
            {"cmd": "report_status", "status": {EVIL: [EVIL]}},
            {"cmd": "publish", "topic": EVIL, "payload": {NEWLINES: NEWLINES}},
            {"cmd": "activate", "argv": [EVIL], "cwd": EVIL},
            {"cmd": "ping", "nonce": 1},
        )
        self.host.until(event="pong", nonce=1)

    def shown(self, *args: str) -> str:
        """What a command line shows there that has a terminal for its output and its errors."""
        return on_terminal(
            lambda theirs: subprocess.Popen(
                [*COMMAND, *args],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                text=True,
                cwd=self.folder,
                env=self.environ,
            )
        )[1]

    def plain(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            cwd=self.folder,
            env=self.environ,
        )


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="qd-", dir="/tmp") as folder:
        made = World(Path(folder))
        yield made
        made.host.close()
        done = made.plain("down", "--now")
        assert done.returncode == 0, done.stderr


# -- Every command

SHORT = ["--for", "0.3"]
RUNS: dict[str, list[list[str]]] = {
    "init": [["init"], ["init", "-o", f"{NAME}.toml"], ["init", "--from", "Procfile", "-o", "converted.toml"]],
    "check": [["check"], ["check", "bad.toml"], ["check", "torn.toml"]],
    "up": [["up", EVIL], ["up"], ["up", "--config", "bad.toml"]],
    "down": [["down", "--config", NAME]],
    "start": [["start", EVIL], ["start", "web"], ["start", "broken"]],
    "stop": [["stop", EVIL], ["stop", "broken"]],
    "restart": [["restart", EVIL], ["restart", "web"]],
    "reload": [["reload"], ["reload", EVIL]],
    "run": [["run", "--name", EVIL, "--", "true"], ["run", "--", f"./{NAME}"]],
    "serve": [["serve", "--set", f"{EVIL}=1"], ["serve", "--config", "bad.toml"], ["serve", "--saga", f"m:{EVIL}"]],
    "install-unit": [["install-unit", "--print"], ["install-unit", "--print", "--config", "bad.toml"]],
    "quit": [["quit", "--endpoint", f"/tmp/{NAME}"]],
    "endpoint": [["endpoint"], ["endpoint", "--endpoint", f"/tmp/{NAME}"]],
    "ping": [["ping"], ["ping", "-n", "2"], ["ping", "--endpoint", f"/tmp/{NAME}"]],
    "snapshot": [["snapshot"]],
    "ps": [["ps"], ["ps", "--all"]],
    "top": [["top", "--once"], ["top", EVIL]],
    "logs": [["logs"], ["logs", "broken"], ["logs", EVIL]],
    "windows": [["windows"]],
    "watch": [["watch", "--since", "0", *SHORT], ["watch", EVIL, *SHORT]],
    "send": [["send", '{"cmd":"get_snapshot"}', '{"cmd":"get_events","since":0}'], ["send", EVIL]],
    "publish": [["publish", EVIL, json.dumps(EVIL), "--name", EVIL], ["publish", "topic", EVIL]],
    "wrap": [["wrap", "--name", EVIL, "--", f"./{NAME}"]],
    "diag": [["diag"]],
    "state": [["state"], ["state", "--at", EVIL]],
    "diff": [["diff", "1", "40"], ["diff", EVIL, EVIL]],
    "why": [["why", "12"], ["why", EVIL]],
    "events": [["events"], ["events", "--label", EVIL], ["events", "--since", EVIL]],
    "sagas": [["sagas", "--all"], ["sagas", "--run", EVIL]],
    "last-crash": [["last-crash"], ["last-crash", "--journal", NAME]],
    "replay": [["replay"], ["replay", NAME], ["replay", "--run", EVIL]],
    "export": [["export"], ["export", "-o", f"no folder/{NAME}"]],
    "import": [["import", "bad.toml", f"{NAME}.sqlite3"], ["import", NAME, "new.sqlite3"]],
    "schema": [["schema", "--slice", EVIL], ["schema", "--slice", f"m:{EVIL}"]],
    "conform": [["conform", "--only", EVIL], ["conform", "--client", "--", f"./{NAME}"]],
    "completion": [["completion", EVIL]],
    "simulate": [["simulate", "--seed", EVIL]],
    "demo": [["demo", EVIL]],
}
"""What is run of each command. A new command needs its own, with hostile texts wherever it shows one."""


@pytest.fixture(scope="module")
def files(world: World) -> None:
    """Files with hostile content."""
    bad = f"[quarterdeck]\n{json.dumps(EVIL)} = {json.dumps(EVIL)}\n[process.{json.dumps(EVIL)}]\ncommand = 7\n"
    (world.folder / "bad.toml").write_text(toml(bad))
    (world.folder / "torn.toml").write_text(f"{EVIL}\n")
    (world.folder / "Procfile").write_text(f"web: echo {EVIL} ${{{EVIL}}}\n{EVIL}: x\n")


def test_every_command_is_run() -> None:
    assert RUNS.keys() >= set(COMMAND_NAMES)


@pytest.mark.parametrize("name", COMMAND_NAMES)
@pytest.mark.usefixtures("files")
def test_nothing_that_a_terminal_obeys_reaches_it(world: World, name: str) -> None:
    shown = {" ".join(args): world.shown(*args) for args in RUNS[name]}
    for args, text in shown.items():
        assert_harmless(text, args)
        assert "Traceback" not in text
    assert any("evil" in text for text in shown.values()), shown


WITH_JSON = [
    name
    for name in sorted(set(COMMAND_NAMES) - {"conform", "simulate"})  # they show only what is their own, and take long
    for command in [quarterdeck.commands.get(name) or quarterdeck.get_command(click.Context(quarterdeck), name)]
    if command is not None and any("--json" in parameter.opts for parameter in command.params)
]


@pytest.mark.parametrize("name", WITH_JSON)
@pytest.mark.usefixtures("files")
def test_json_stays_json(world: World, name: str) -> None:
    command, *rest = RUNS[name][0]
    for line in filter(None, world.plain(command, "--json", *rest).stdout.split("\n")):
        json.loads(line)


@pytest.mark.parametrize("name", ["snapshot", "watch", "events", "logs", "ps"])
@pytest.mark.usefixtures("files")
def test_json_stays_json_on_a_terminal_too_and_obeys_nobody(world: World, name: str) -> None:
    command, *rest = RUNS[name][0]
    shown = world.shown(command, "--json", *rest)
    assert_harmless(shown, name)
    assert "evil" in shown
    for line in filter(None, shown.replace("\r\n", "\n").split("\n")):
        json.loads(line)


@pytest.mark.usefixtures("files")
def test_a_value_is_the_same_on_a_terminal(world: World) -> None:
    args = ["snapshot", "--json"]
    piped = json.loads(world.plain(*args).stdout)
    shown = json.loads(world.shown(*args))
    assert shown["windows"] == piped["windows"]
    assert EVIL in {row["name"] for row in shown["processes"]}
