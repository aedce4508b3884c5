"""quarterdeck check: a summary or every fault, and the schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ui.running import COMMAND, PATIENCE_S, environ

DECK = """
[process.api]
command = "sh -c 'exec sleep 60'"
kind = "host"
after = ["db", "worker"]
ready = { port = 8000 }
[process.worker]
command = ["sh"]
replicas = 2
ready = "running"
[process.db]
command = "sh"
"""


def check(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "check", *args],
        cwd=folder,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def deck(tmp_path: Path) -> Path:
    path = tmp_path / "quarterdeck.toml"
    path.write_text(DECK)
    return path


def test_a_right_file_is_summed_up_in_the_order_of_starting(deck: Path) -> None:
    done = check(deck.parent)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["NAME", "worker-1", "worker-2", "db", "api"]
    assert lines[4].split()[:4] == ["api", "host", "port", "8000"]
    assert "db, worker-1, worker-2" in lines[4]
    assert lines[-1].startswith(f"{deck} is right")


def test_it_is_found_from_a_folder_below_or_named(deck: Path) -> None:
    below = deck.parent / "a" / "b"
    below.mkdir(parents=True)
    other = deck.parent / "a" / "other.toml"
    other.write_text('[process.x]\ncommand = "sh"\n')
    assert f"{deck} is right" in check(below).stdout
    assert f"{other} is right" in check(below, "../other.toml").stdout
    assert f"{other} is right" in check(below, "--config", "../other.toml").stdout


def test_every_fault_is_one_line_and_the_code_2(deck: Path) -> None:
    deck.write_text(DECK + 'comand = "x"\ncwd = "\x1b[1m"\n'.replace("\x1b", "\\u001b"))
    done = check(deck.parent)
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first == "quarterdeck: quarterdeck.toml: process.db.comand: no such key; did you mean command?"
    assert second.startswith(
        "quarterdeck: quarterdeck.toml: process.db.cwd: expected a folder, found nothing such at /"
    )
    assert "\x1b" not in done.stderr


def test_a_syntax_error_is_told_with_its_place(deck: Path) -> None:
    deck.write_text("[process.web]\ncommand = \n")
    done = check(deck.parent)
    assert (done.returncode, done.stderr) == (
        2,
        "quarterdeck: quarterdeck.toml: line 2, column 11: invalid value\n",
    )


def test_without_a_file_it_says_what_to_do(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "quarterdeck init" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_may_not_be_meant_is_a_warning(deck: Path) -> None:
    deck.write_text('[process.web]\ncommand = "no-such-program a | b"\n')
    done = check(deck.parent)
    assert done.returncode == 0
    first, second = done.stderr.splitlines()
    assert "warning" in first
    assert "| means something only to a shell" in first
    assert second == "quarterdeck: warning: web: this machine has no program no-such-program"


def test_its_slices_and_sagas_are_looked_for_as_up_does(deck: Path) -> None:
    deck.write_text('[process.web]\ncommand = "true"\n[slices]\ncounter = "no_such_module:Counter"\n')
    done = check(deck.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "slices.counter: there is no module no_such_module" in done.stderr


def test_a_program_is_looked_for_where_it_will_be(deck: Path) -> None:
    bin_folder = deck.parent / "bin"
    bin_folder.mkdir()
    program = bin_folder / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    deck.write_text(
        '[process.a]\ncommand = "./mine"\ncwd = "bin"\n'
        f'[process.b]\ncommand = "mine"\nenv = {{ PATH = "{bin_folder}" }}\n[process.c]\ncommand = "./mine"\n'
    )
    assert check(deck.parent).stderr == "quarterdeck: warning: c: this machine has no program ./mine\n"


def test_a_program_that_is_there_and_cannot_be_run_is_told_why(deck: Path) -> None:
    (deck.parent / "mine").write_text("#!/bin/sh\n")
    tables = ('["./mine"]', '["/etc"]', '["echo hello"]')
    deck.write_text(
        "".join(f"[process.{name}]\ncommand = {words}\n" for name, words in zip("abc", tables, strict=True))
    )
    first, second, third = check(deck.parent).stderr.splitlines()
    assert first == f"quarterdeck: warning: a: ./mine is not executable: chmod +x {deck.parent.resolve()}/mine"
    assert second == "quarterdeck: warning: b: /etc is a folder, not a program"
    assert third.endswith("""no program 'echo hello'; in a list each word stands by itself: ["echo", "hello"]""")


def test_as_json_each_process_is_a_line(deck: Path) -> None:
    done = check(deck.parent, "--json")
    specs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [spec["name"] for spec in specs] == ["worker-1", "worker-2", "db", "api"]
    assert specs[3]["command"] == ["sh", "-c", "exec sleep 60"]
    assert specs[3]["ready_timeout_ms"] == 60_000


def test_the_schema_needs_no_file(tmp_path: Path) -> None:
    done = check(tmp_path, "--schema")
    schema = json.loads(done.stdout)
    assert done.returncode == 0
    assert "command" in schema["$defs"]["ProcessTable"]["properties"]


def test_checking_imports_neither_the_server_nor_asyncio(deck: Path) -> None:
    program = (
        "import sys; from quarterdeck.ui.cli import main; main(['check']);"
        "print(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=deck.parent, env=environ(), capture_output=True, text=True, check=True
    )
    loaded = done.stderr.splitlines()
    assert "quarterdeck.deckfile" in loaded
    assert "asyncio" not in loaded
    assert not [name for name in loaded if name.startswith("quarterdeck.server")]
