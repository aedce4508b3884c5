"""docs/tutorial.md is followed to the letter: its files are written, its commands run, and what they print is compared.

An HTML comment above a fenced block says what it is: `file: NAME` is to be written, `session` is a command behind `$ `
and what it prints. Of what differs each time (times, pids, ids, versions of the stream, widths of columns) only the
place counts; of `session ps` name, kind and state of the launcher and its children. The port is one that is free here.
"""

from __future__ import annotations

import re
import shlex
import socket
import sys
from pathlib import Path

import pytest

from tests.ui import decks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
PORT = "8123"
"""The document's."""

_MARKED = re.compile(
    r"^<!-- (?P<mark>file: \S+|session|session ps) -->\n```\w*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_UNCOMPARED = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d\d:\d\d:\d\d\.\d{3}(  +\d+(?=  ))?"), "TIME"),
    (re.compile(r"\d+(\.\d+)? s\b"), "N s"),
    (re.compile(r"pid \d+"), "pid N"),
    (re.compile(r"run [\da-f-]{36}"), "run ID"),
    (re.compile(r"launcher \d+\.\d+\.\d+"), "launcher VERSION"),
    (re.compile(r" {2,}"), "  "),
)


def compared(text: str) -> list[str]:
    """What counts of a text."""
    for pattern, name in _UNCOMPARED:
        text = pattern.sub(name, text)
    return [line.rstrip() for line in text.splitlines()]


def columns(text: str) -> list[list[str]]:
    """The first three columns of a table."""
    return [line.split()[: 4 if line[0] in "├└" else 3] for line in text.splitlines()]


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def test_it_goes_as_it_is_written() -> None:
    port = free_port()
    steps = [(match["mark"], match["text"]) for match in _MARKED.finditer(PAGE.read_text(encoding="utf-8"))]
    assert [mark for mark, _ in steps].count("session") >= 6
    with decks.deck() as deck:
        for mark, text in steps:
            if mark.startswith("file: "):
                (deck.folder / mark.removeprefix("file: ")).write_text(text.replace(PORT, port))
                continue
            command, _, printed = text.removeprefix("$ ").partition("\n")
            name, *args = shlex.split(command)
            assert name == "quarterdeck"
            done = deck.run(*args)
            assert (done.returncode, done.stderr) == (0, ""), command
            shown = done.stdout.replace(port, PORT)
            if mark == "session ps":
                assert columns(shown)[:5] == columns(printed)[:5], command
            else:
                assert compared(shown) == compared(printed), command


def test_its_links_lead_somewhere() -> None:
    targets = set(re.findall(r"\]\(([^)#]+)", PAGE.read_text(encoding="utf-8")))
    assert {target for target in targets if not (PAGE.parent / target).exists()} == set()
