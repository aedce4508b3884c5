"""Plain lines when piped, colours on a terminal, and nothing read as markup."""

from __future__ import annotations

import io

import pytest

from quarterdeck.ui.screen import Screen


class Terminal(io.StringIO):
    """Takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    return Terminal()


def test_piped_lines_are_plain_and_safe() -> None:
    stream = io.StringIO()
    Screen(stream).line("a\x1b[2Jb\nc", "red")
    assert stream.getvalue() == "a\\x1b[2Jb\\nc\n"


def test_a_terminal_gets_colour_and_the_text_no_markup(terminal: Terminal) -> None:
    Screen(terminal).line("[bold]:smile:[/bold] \x1b[2J http://a 12", "red")
    assert terminal.getvalue() == "\x1b[31m[bold]:smile:[/bold] \\x1b[2J http://a 12\x1b[0m\n"


def test_no_colour_where_the_user_wants_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    Screen(terminal).line("plain", "red")
    assert "\x1b[31m" not in terminal.getvalue()


def test_a_long_line_is_not_broken(terminal: Terminal) -> None:
    Screen(terminal).line("x" * 500, "green")
    assert terminal.getvalue().count("\n") == 1


def test_a_table_is_aligned_and_its_cells_are_safe() -> None:
    stream = io.StringIO()
    Screen(stream).table(("PID", "NAME", "STATE"), [("1", "日本", "ok"), ("22", "a\nb", "gone")])
    assert stream.getvalue() == "PID  NAME  STATE\n1    日本  ok\n22   a\\nb  gone\n"


def test_a_table_without_rows_is_its_headings() -> None:
    stream = io.StringIO()
    Screen(stream).table(("PID",), [])
    assert stream.getvalue() == "PID\n"


@pytest.mark.parametrize("line", [b'{"a":"\\u001b[2J"}', '{"a":"ü"}'.encode()])
def test_raw_lines_are_untouched_when_piped(line: bytes) -> None:
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, "utf-8")
    Screen(stream).raw(line)
    assert content.getvalue() == line + b"\n"


def test_raw_lines_are_safe_on_a_terminal(terminal: Terminal) -> None:
    Screen(terminal).raw('{"a":"\u202e\x9b"}'.encode())
    assert terminal.getvalue() == '{"a":"\\u202e\\u009b"}\n'
