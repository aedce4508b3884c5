"""Commands split as a shell would, and what only a shell would understand."""

from __future__ import annotations

import subprocess

import pytest

from quarterdeck.deckfile.words import shell_syntax, split


@pytest.mark.parametrize(
    "text",
    ["a b", "a 'b c' \"d e\"", r"a\ b c", "a 'it'\\''s'", 'a "x\\"y"', "a '$HOME' '|' '*'", 'a "b;c" --x=1'],
)
def test_without_a_shell_s_own_signs_the_words_are_a_shell_s(text: str) -> None:
    assert shell_syntax(text) is None
    script = f'show() {{ for word; do printf "%s\\n" "$word"; done; }}; show {text}'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert list(split(text)) == said.splitlines()


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("a && b", "&&"),
        ("a;b", ";"),
        ("a|b", "|"),
        ("a >> log", ">>"),
        ("a & ", "&"),
        ("a $PORT", "$PORT"),
        ('a "$PORT"', "$PORT"),
        ("a ${PORT:-1}", "${PORT:-1}"),
        ("a $(b)", "$("),
        ("a `b`", "`"),
        ("ls *.py", "*"),
        ("ls ~/x", "~"),
        ("a # b", "#"),
        ("(a)", "("),
    ],
)
def test_what_needs_a_shell_is_found(text: str, piece: str) -> None:
    assert shell_syntax(text) == piece


@pytest.mark.parametrize("text", ["a 'b;c'", 'a "b|c"', r"a \; b", r"a \$HOME", "a#b", "a~b", "cost 5$", "a 'x'\\''&'"])
def test_what_is_quoted_needs_none(text: str) -> None:
    assert shell_syntax(text) is None
