"""docs/systemd.md: its unit is what is written, its messages are what is told, and its container's commands exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from quarterdeck.ui.command import CONTEXT
from quarterdeck.ui.group import quarterdeck
from quarterdeck.ui.units import Service, service_text

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "systemd.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_the_unit_is_what_is_written() -> None:
    service = Service(
        name="quarterdeck-shop",
        python="/home/ada/shop/.venv/bin/python",
        deckfile="/home/ada/shop/quarterdeck.toml",
        folder="/home/ada/shop",
        search_path="/usr/local/bin:/usr/bin:/bin",
    )
    assert block("ini") == service_text(service)


def test_the_options_are_those_of_the_command() -> None:
    command = quarterdeck.get_command(click.Context(quarterdeck), "install-unit")
    assert command is not None
    there = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    table = PAGE.partition("| option |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| `(--[a-z]+)", table, re.MULTILINE))
    assert there == told | {"--user", "--config"}


@pytest.mark.parametrize(
    "words", [json.loads(found) for found in re.findall(r"(\[\".*\])$", block("dockerfile"), re.MULTILINE)]
)
def test_the_commands_of_the_container_exist(words: list[str]) -> None:
    program, name, *args = words
    assert program == "quarterdeck"
    context = click.Context(quarterdeck, **CONTEXT)
    command = quarterdeck.get_command(context, name)
    assert command is not None
    command.make_context(name, args, parent=context)
