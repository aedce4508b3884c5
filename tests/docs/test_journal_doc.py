"""What docs/journal.md shows is done here, after a real crash, and compared.

An HTML comment above a fenced block says what it is: `log` is what the launcher says after the crash; `session` is a
command behind `$ ` and what it prints, `session terminal` what it shows on a terminal. Of what differs each time, the
ids of runs and pids are put in as they are, and times, versions of the launcher and the width of columns do not count.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.config import describe
from tests.ui.crashed import Crashed, crash
from tests.ui.running import PATIENCE_S, run, run_on_terminal, start

JOURNAL = Path(__file__).parents[2] / "docs" / "journal.md"
RUN = "3f2a9c41-7d0e-4b6a-9c55-1e8f20b7a6d3"
"""The run of the document; its pids are these."""
LAUNCHER_PID, EDITOR_PID, SERVICE_PID = 4100, 4101, 4102

_MARKED = re.compile(
    r"^<!-- (?P<mark>log|session|session terminal) -->\n```\w*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_ESCAPES = re.compile(r"\x1b\[[\d;]*m")
_UNCOMPARED = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d\d:\d\d:\d\d[.,]\d{3}"), "TIME"),
    (re.compile(r"\b\d+ ms\b"), "N ms"),
    (re.compile(r"\b\d+\.\d+\.\d+\b"), "VERSION"),
    (re.compile(r"(?<=\S) {2,}"), "  "),
)


@pytest.fixture(scope="module")
def past() -> Iterator[Crashed]:
    with tempfile.TemporaryDirectory(prefix="qd-docs-") as name:
        yield crash(Path(name))


@pytest.fixture(scope="module")
def said(past: Crashed) -> Iterator[str]:
    """What the next launcher logs of the crash; it runs on."""
    folder = past.folder
    arguments = ("serve", "--data-dir", str(folder), "--endpoint", str(folder / "l.sock"))
    process = start(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    yield next(line for line in process.stderr if "in good order" in line)
    process.terminate()
    process.wait(PATIENCE_S)
    process.stderr.close()


def blocks(mark: str) -> list[str]:
    found = [match["text"] for match in _MARKED.finditer(JOURNAL.read_text()) if match["mark"] == mark]
    assert found, mark
    return found


def as_documented(text: str, past: Crashed) -> str:
    """With the document's run and pids."""
    pids = ((past.launcher_pid, LAUNCHER_PID), (past.editor_pid, EDITOR_PID), (past.service_pid, SERVICE_PID))
    text = text.replace(past.run_id, RUN).replace(past.run_id[:8], RUN[:8])
    text = text.replace(f" --data-dir {past.folder}", "")
    names = {str(ours): str(theirs) for ours, theirs in pids}
    return re.sub(rf"\b({'|'.join(names)})\b", lambda found: names[found[1]], text)


def compared(text: str) -> list[str]:
    """What counts of a text."""
    text = _ESCAPES.sub("", text).replace("\r", "")
    for pattern, name in _UNCOMPARED:
        text = pattern.sub(name, text)
    return [line.rstrip() for line in text.splitlines()]


def answered(command: str, past: Crashed, *, on_terminal: bool) -> str:
    name, *args = shlex.split(command.replace(RUN[:8], past.run_id[:8]))
    assert name == "quarterdeck"
    args += ["--data-dir", str(past.folder)]  # where the document has the default one
    if on_terminal:
        return run_on_terminal(args)[1]
    done = run(*args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize("mark", ["session", "session terminal"])
def test_commands_answer_as_printed(mark: str, past: Crashed) -> None:
    for block in blocks(mark):
        command, _, printed = block.removeprefix("$ ").partition("\n")
        shown = answered(command, past, on_terminal=mark.endswith("terminal"))
        assert compared(as_documented(shown, past)) == compared(printed)


def test_the_launcher_says_what_is_printed(said: str, past: Crashed) -> None:
    (block,) = blocks("log")
    (printed,) = compared(" ".join(block.splitlines()))
    (line,) = compared(as_documented(said, past))
    assert printed in line


def test_links_and_settings_exist() -> None:
    text = JOURNAL.read_text()
    targets = set(re.findall(r"\]\(([^)#]+)", text))
    assert {target for target in targets if not (JOURNAL.parent / target).exists()} == set()
    assert set(re.findall(r"`(limits\.\w+)", text)) <= {setting.key for setting in describe()}
