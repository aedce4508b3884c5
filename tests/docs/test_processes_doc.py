"""docs/processes.md: its examples are right files, and its faults are what is said."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from quarterdeck.deckfile import parse_deckfile
from quarterdeck.deckfile.tables import ProcessTable
from quarterdeck.deckfile.variables import read_variables
from quarterdeck.errors import ConfigError
from tests.ui import decks
from tests.ui.running import run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "processes.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the examples would be, with what they name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workers").mkdir()
    (tmp_path / ".env").touch()
    return tmp_path / "quarterdeck.toml"


@pytest.mark.parametrize("text", [text for text in blocks("toml") if "[process." in text])
def test_the_examples_are_right_and_without_a_warning(file: Path, text: str) -> None:
    deck = parse_deckfile(text, file)
    assert deck.processes
    assert deck.warnings == ()


def test_the_full_example_shows_every_key() -> None:
    full = max(blocks("toml"), key=len)
    missing = [key for key in ProcessTable.__struct_fields__ if not re.search(rf"^{key} = ", full, re.MULTILINE)]
    assert missing == []


def test_the_faults_are_what_is_said(file: Path) -> None:
    text = """
        [process.web]
        command = "web"
        comand = "web"
        ready_timeout_s = "5"
        after = ["db"]
        [process.db]
        command = "db"
        after = ["web"]
        """
    with pytest.raises(ConfigError) as caught:
        parse_deckfile(text, file)
    (said,) = blocks("text")
    assert [f"quarterdeck: {line}" for line in caught.value.lines] == said.splitlines()


def test_the_lines_of_an_env_file_are_read_as_it_says() -> None:
    (text,) = blocks("sh")
    assert read_variables(text) == {
        "PORT": "8000",
        "NAME": "up to the end of the line",
        "QUOTED": 'two\nlines, a " and a $',
        "LITERAL": "as it is, $ and \\ too",
    }


def test_logs_are_shown_as_printed(tmp_path: Path) -> None:
    (session,) = (text for text in blocks("console") if text.startswith("$ quarterdeck logs\n"))
    day = session.splitlines()[1].removeprefix("-- ")
    (tmp_path / "logs").mkdir()
    streams = {"|": "out", "!": "err", "#": "log"}
    for at, name, mark, text in re.findall(r"^([\d:.]+) (\w+) +([|!#]) (.*)$", session, re.MULTILINE):
        with (tmp_path / "logs" / f"{name}.log").open("a") as file:
            file.write(f"{day}T{at}Z {streams[mark]} {text}\n")
    shown = run("logs", "--data-dir", str(tmp_path), TZ="UTC").stdout
    assert f"$ quarterdeck logs\n{shown}" == session


@pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")
def test_a_host_is_told_of_a_second_instance() -> None:
    (program,) = re.findall(r"<!-- file: editor.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    with decks.deck() as deck:
        (deck.folder / "editor.py").write_text(program)
        first = deck.start("run", "--", sys.executable, "editor.py", "one.txt")
        first.until("editing one.txt")
        assert deck.run("run", "--", sys.executable, "editor.py", "two.txt").returncode == 0
        first.until(f"asked to open two.txt from {deck.folder}")
        first.interrupt()
        assert first.end()[0] == 128 + signal.SIGTERM
