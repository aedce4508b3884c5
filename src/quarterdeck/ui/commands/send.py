"""quarterdeck send: raw commands to the launcher, for seeing what the protocol does.

Rules: a line goes out as it was given, right or wrong, so that its error can be seen too; what comes back is printed
as it came.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.ui.command import Address, Command, address_options, kind_option
from quarterdeck.ui.exits import Exit
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.schema.types import ProcessKind

EXAMPLES = (
    ("""quarterdeck send '{"cmd": "get_snapshot"}'""", "Print the snapshot."),
    ("""quarterdeck send '{"cmd": "publish", "topic": "a", "payload": 1, "id": 7}'""", "An id asks for an ack."),
    ("quarterdeck send - < commands.jsonl", "One command a line, from standard input."),
    ("""quarterdeck send --events '{"cmd": "publish", "topic": "a", "payload": 1}'""", "Show the events as well."),
)


@click.command("send", cls=Command, examples=EXAMPLES)
@click.argument("lines", nargs=-1, required=True, metavar="JSON...|-")
@kind_option
@click.option("--name", default="send", show_default=True, help="The name to register with.")
@click.option("--events", "with_events", is_flag=True, help="Print stream events too, not only what is answered.")
@address_options
def command(address: Address, lines: tuple[str, ...], kind: ProcessKind, name: str, with_events: bool) -> int:
    """Register, send each JSON as a line, and print every line that comes back.

    `-` reads lines from standard input. Line breaks inside an argument become spaces: the protocol has one object a
    line. Exit code 1 if any answer was an error.
    """
    from quarterdeck.client import connect_blocking

    screen = standard_output()
    failed = False
    events = ("*",) if with_events else ()
    with connect_blocking(kind=kind, name=name, events=events, reconnect=False, **address.terms()) as client:
        for line in client.request_lines(_given(lines)):
            screen.raw(line.rstrip(b"\n"))
            failed = failed or is_error(line)
    return Exit.FAILED if failed else Exit.DONE


def is_error(line: bytes) -> bool:
    """Whether a line of the launcher is an error."""
    import msgspec

    value: Any = msgspec.json.decode(line)
    return isinstance(value, dict) and value.get("event") == "error"


def _given(lines: tuple[str, ...]) -> Iterator[bytes]:
    for line in lines:
        if line == "-":
            yield from (read for read in sys.stdin.buffer if read.strip())
        else:
            yield line.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n"
