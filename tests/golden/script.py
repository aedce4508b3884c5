"""A transcript as text: what is sent, and in full what comes back. Reading it here, running it in `stage`.

A line of a transcript is one of

    # prose                   what the next lines show; empty lines are free
    set KEY=VALUE             a setting of this launcher, before the first line sent
    > LINE                    sent, with its newline; what came back follows it
    < LINE                    came back: every byte of it, in order
    >+ LINE                   goes out with the next `> `, in one write; of several clients, before anybody has read
    > bytes b'…'              exactly these bytes, without a newline, as a Python literal
    > (end of file)           the client sends no more, and still reads
    > (close)                 the client closes both ways
    > (wait)                  nothing is sent: time passes until something comes back
    < (end of file)           the launcher closed

With several clients each line bears a name before the mark: `tool> …`, `host< …`. A client connects when it is first
named; `tool> (connect)` does only that, or does it again. Replies are grouped by client, the one that was sent to
first, then the rest by name. The launcher is pid 4242, version 1.0.0, and its clock starts at 2030-01-01 and goes one
second on with each line sent. `$PID` stands for the pid of the process that runs the transcript, `$CHILD` for one of
its children, `$RUN` for another run's id.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

RUN_ID = "00000000-0000-4000-8000-000000000001"
OTHER_RUN_ID = "00000000-0000-4000-8000-000000000002"

_LINE = re.compile(r"(?P<name>[a-z0-9_]*)(?P<mark>>\+|>|<) (?P<rest>.*)")
_ACTIONS = ("(end of file)", "(close)", "(wait)", "(connect)")


@dataclass(frozen=True)
class Sent:
    """One line that is sent: `action` is one of those in brackets, or none."""

    client: str
    payload: bytes
    action: str | None
    is_held: bool  # goes out with the next one


@dataclass(frozen=True)
class Line:
    """One line of the file as it stands, and what it sends if it does."""

    text: str
    sent: Sent | None = None


@dataclass(frozen=True)
class Script:
    """A transcript without its replies."""

    settings: tuple[str, ...]
    lines: tuple[Line, ...]


def parse(text: str) -> Script:
    """The script in a transcript. Raises: ValueError naming a line that is none of the above."""
    settings: list[str] = []
    lines: list[Line] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        found = _LINE.fullmatch(line)
        if line.startswith("set "):
            settings.append(line.removeprefix("set "))
        elif not found and line and not line.startswith("#"):
            raise ValueError(f"line {number}: {line!r}")
        if found and found["mark"] == "<":
            continue
        lines.append(Line(line, _sent(found) if found else None))
    return Script(tuple(settings), tuple(lines))


def _sent(found: re.Match[str]) -> Sent:
    rest = found["rest"]
    if rest in _ACTIONS:
        return Sent(found["name"], b"", rest, False)
    is_held = found["mark"] == ">+"
    if rest.startswith("bytes "):
        payload = ast.literal_eval(rest.removeprefix("bytes "))
        assert isinstance(payload, bytes)
        return Sent(found["name"], payload, None, is_held)
    return Sent(found["name"], rest.encode() + b"\n", None, is_held)
