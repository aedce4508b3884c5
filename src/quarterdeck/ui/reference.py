"""The reference of the command line, docs/cli.md: every command's help as it is.

Written anew by `python -m quarterdeck.ui.reference > docs/cli.md`; a test sees that it is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

import click

from quarterdeck.ui.command import CONTEXT
from quarterdeck.ui.group import quarterdeck

WIDTH: Final = 100

HEAD: Final = """\
# Command line

Written by `python -m quarterdeck.ui.reference > docs/cli.md`; change the commands, not this file.

Every command finds the launcher by the first of these that says something; the flags may stand before or after the
command's name:

1. `--endpoint`, `--data-dir`, `--config` (a `quarterdeck.toml`, for its data folder), in this order;
2. `QUARTERDECK_ENDPOINT` of the environment, which every process that a launcher runs has;
3. the data folder of the nearest `quarterdeck.toml`: in the current folder or one above it. One above must belong to
   you or to root;
4. this user's default data folder.

A program that connects looks in the same order, without 3: [why](client.md#where-the-launcher-is). Where 2 leads away
from a launcher of 3 that runs, a line on standard error says so, if that is a terminal: not with `--json`, nor in a
process of a launcher, and not where a flag says which one is meant.

A launcher has 10 s to answer a command; `QUARTERDECK_ANSWER_WITHIN` says another number of seconds, and the
`--answer-within` of `up`, `run` and `down` beats it.

Commands that read the journal look for the data folder in the same way, without 2 and without `--endpoint`.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed; the line on standard error says why |
| 2 | wrong usage, or a wrong setting |
| 3 | a launcher is already running |
| 4 | no launcher |
| 5 | a launcher is there, and is starting or ending; it was not done with that in time |
| 6 | a launcher is there, and does not answer |
| 7 | the launcher, its folder or its socket is another user's |

`up` and `serve --config` end with the code of the process that `exit_from` names, else with 0. `run` and `wrap` pass on
their program's exit code, 128 + N where signal N ended it, and say 127 where there is no such program and 126 where it
cannot be executed. Ctrl-C ends a command with 130, except `watch`, `logs` and `serve`, which end with 0, and `up` and
`run`, which stop what they run.

On a terminal there are colours (not with `NO_COLOR`), and whatever in a name, topic or status would control the
terminal is shown as an escape. Piped, each event, process or answer is one plain line, written when it is known.
"""


def render() -> str:
    """The whole file."""
    context = click.Context(quarterdeck, info_name="quarterdeck", terminal_width=WIDTH, **CONTEXT)
    sections = [HEAD, _section("quarterdeck", quarterdeck.get_help(context))]
    sections += [_section(f"quarterdeck {name}", text) for name, text in _helps(context)]
    return "\n".join(sections)


def _helps(parent: click.Context) -> Iterator[tuple[str, str]]:
    for name in quarterdeck.list_commands(parent):
        command = quarterdeck.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
        yield name, command.get_help(context)


def _section(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(render())
