"""What the agents' README shows is done, and compared but for what differs each time: times, numbers, which worker."""

from __future__ import annotations

import re

from tests.examples.folder import AGENTS, copy_of, needs_guard, needs_node

README = (AGENTS / "README.md").read_text(encoding="utf-8")
_SESSION = re.compile(r"^<!-- session -->\n```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_WORKER = re.compile(r"\b(python|node)-\d")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_NUMBER = re.compile(r" *\d[\d.:]*")


def usual(text: str) -> str:
    """The text without what differs from one time to the next."""
    return _NUMBER.sub(" #", _DIGEST.sub("DIGEST", _WORKER.sub("WORKER", text)))


@needs_guard
@needs_node
def test_the_session_says_what_it_says() -> None:
    sessions = _SESSION.findall(README)
    assert len(sessions) == 4
    with copy_of(AGENTS) as folder:
        for session in sessions:
            folder.follow(session, usual)
