"""What is read without click, click reads the same; anything else is left to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.ui import plain
from quarterdeck.ui.cli import BE, FIND, SET
from quarterdeck.ui.command import CONTEXT, Address
from quarterdeck.ui.commands import ping, serve

COMMANDS: dict[str, tuple[click.Command, Mapping[str, str], Mapping[str, str]]] = {
    "ping": (ping.command, FIND, {}),
    "serve": (serve.command, BE, SET),
}
WORDS = st.sampled_from(
    (
        *(
            "--endpoint",
            "--data-dir",
            "--config",
            "--set",
            "--json",
            "--correct",
            "--help",
            "--count",
            "-n",
            "--",
            "-",
            "-h",
        ),
        *("--endpoint=", "--endpoint=/a", "--data-dir=a=b", "--set=a=b", "--end", "--end=x", "=", "--json=x"),
        *("", "a", "a=b", "journal=off", "/tmp/a b", "é", "*", "3", "serve"),
    )
)


def read(name: str, words: Sequence[str]) -> dict[str, Any] | None:
    _, once, often = COMMANDS[name]
    return plain.read(words, once, often)


@pytest.mark.parametrize("name", COMMANDS)
@given(words=st.lists(WORDS, max_size=6))
def test_what_is_plain_click_reads_the_same(name: str, words: list[str]) -> None:
    found = read(name, words)
    if found is None:
        return
    command, once, often = COMMANDS[name]
    by_click = command.make_context(name, list(words), obj=Address(), **CONTEXT).params
    by_default = command.make_context(name, [], obj=Address(), **CONTEXT).params
    assert {argument: by_click[argument] for argument in once.values()} == {
        **dict.fromkeys(once.values()),
        **{argument: value for argument, value in found.items() if argument in once.values()},
    }
    for argument in often.values():
        assert list(by_click[argument]) == found[argument]
    others = by_click.keys() - found.keys()
    assert {each: by_click[each] for each in others} == {each: by_default[each] for each in others}


@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        ("ping", [], {}),
        ("ping", ["--endpoint", "/a", "--config=b"], {"endpoint": "/a", "config": "b"}),
        ("ping", ["--endpoint", "/a", "--endpoint=/b"], {"endpoint": "/b"}),
        ("serve", ["--set", "a=b", "--data-dir", "c", "--set=d=e"], {"settings": ["a=b", "d=e"], "data_dir": "c"}),
        ("serve", [], {"settings": []}),
    ],
)
def test_the_lines_that_matter_are_plain(name: str, words: list[str], found: dict[str, Any]) -> None:
    assert read(name, words) == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ping", ["--json"]),
        ("ping", ["-n", "3"]),
        ("ping", ["--endpoint"]),
        ("ping", ["--endpoint", "--json"]),
        ("ping", ["--end", "/a"]),
        ("ping", ["/a"]),
        ("serve", ["--help"]),
        ("serve", ["--config", "quarterdeck.toml"]),
        ("serve", ["--set"]),
        ("serve", ["--", "--set", "a=b"]),
    ],
)
def test_what_is_not_plain_is_left_to_click(name: str, words: list[str]) -> None:
    assert read(name, words) is None
