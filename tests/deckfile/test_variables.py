"""The KEY=VALUE lines of an env_file."""

from __future__ import annotations

import pytest

from quarterdeck.deckfile.variables import read_variables


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("A=", ""),
        ("  A = a b  ", "a b"),
        ("export A=1", "1"),
        ("A=a#b", "a#b"),
        ("A=a # b", "a"),
        ("A=# b", ""),
        ("A='a # b'", "a # b"),
        ("A='$x \\n' # why", "$x \\n"),
        ('A="a\\n\\"b\\" \\\\ \\$c"', 'a\n"b" \\ $c'),
        ('A="a" # b', "a"),
        ("A=it's", "it's"),
        ("A==", "="),
        ("A=http://x/?a=b&c", "http://x/?a=b&c"),
    ],
)
def test_a_line(line: str, value: str) -> None:
    assert read_variables(f"# first\n\n{line}\n") == {"A": value}


def test_the_last_one_of_a_name_counts() -> None:
    assert read_variables("A=1\r\nB=2\r\nA=3\r\n") == {"A": "3", "B": "2"}


@pytest.mark.parametrize("line", ["A", "=1", "A B=1", "A='x", 'A="x', "A='x' y", 'A="x" y', "#ok\n'A'=1"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d: "):
        read_variables(line)
