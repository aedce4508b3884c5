"""What the workspaces' README shows is done, and compared but for what differs each time: times, pids, versions."""

from __future__ import annotations

import re

import pytest

from tests.drivers.xserver import XServer
from tests.examples.folder import WORKSPACES, copy_of, needs_guard

README = (WORKSPACES / "README.md").read_text(encoding="utf-8")
_MARKED = re.compile(r"^<!-- (session|test) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"(?<!\w) *\+?\d[\d.:]*")


def blocks(mark: str) -> list[str]:
    return [text for found, text in _MARKED.findall(README) if found == mark]


def usual(text: str) -> str:
    """The text without what differs from one time to the next."""
    return _NUMBER.sub(" #", text)


@needs_guard
@pytest.mark.steady
def test_the_sessions_say_what_they_say(server: XServer) -> None:
    assert len(blocks("session")) == 3
    with copy_of(WORKSPACES, DISPLAY=server.display) as folder:
        for session in blocks("session"):
            folder.follow(session, usual)


@pytest.mark.parametrize("place", range(len(blocks("test"))))
def test_the_tests_pass(place: int) -> None:
    names: dict[str, object] = {}
    exec(blocks("test")[place], names)
    tests = [value for name, value in names.items() if name.startswith("test_") and callable(value)]
    assert tests
    for each in tests:
        each()
