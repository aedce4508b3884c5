"""What is fuzzed: functions from bytes to nothing, each with its invariant in its first line; a failure raises.

`python -m tests.fuzz.run NAME` feeds one from a fuzzer that watches which branches are taken; `test_corpus.py` replays
what was found worth keeping.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from quarterdeck.config import Config
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.core.step import Context
from quarterdeck.deckfile import DeckFile, parse_deckfile
from quarterdeck.deckfile.variables import read_variables
from quarterdeck.drivers import guard_wire
from quarterdeck.errors import ConfigError, RemoteProtocolError
from quarterdeck.wire.codec import CommandDecoder, Malformed, encode_line
from quarterdeck.wire.connection import Bounds, ClientConnection, Refusal, ServerConnection
from tests.fuzz import journals

BOUNDS = Bounds(line_bytes_max=300, bad_lines_in_a_row_max=5, payload_bytes_max=60, status_bytes_max=60)
DECODER = CommandDecoder()
DEPTH_MAX = 64


def wire_split(drawn: bytes) -> None:
    """However the bytes of a connection are split, its lines give the same commands and refusals."""
    if not drawn:
        return
    step, lines = drawn[0] + 1, drawn[1:]
    whole = _outcomes([lines])
    pieces = [lines[at : at + step] for at in range(0, len(lines), step)]
    assert _outcomes(pieces) == whole
    assert _outcomes(lines[at : at + 1] for at in range(len(lines))) == whole


def _outcomes(pieces: Any) -> list[object]:
    connection = ServerConnection(DECODER, BOUNDS)
    outcomes: list[object] = []
    for piece in pieces:
        connection.receive(piece)
        while connection.waiting:
            for value in connection.take(64):
                outcome = connection.admit(value)
                outcomes.append(outcome)
                if isinstance(outcome, Refusal) and outcome.fatal:
                    return outcomes
                if getattr(outcome, "pid", None) is not None and connection.phase.value == "new":
                    connection.registered()
    return outcomes


def wire_command(line: bytes) -> None:
    """A line that is taken is one JSON object in UTF-8, not too deep, and comes out of its own encoding again."""
    line = line.replace(b"\n", b" ")
    values = DECODER.decode(line + b"\n")
    assert len(values) == (1 if line.strip(b" \t\r") else 0)
    for value in values:
        if isinstance(value, Malformed):
            assert value.message
            continue
        found = json.loads(line.decode(), parse_constant=_refuse)
        assert isinstance(found, dict)
        assert _depth(found) <= DEPTH_MAX
        (again,) = DECODER.decode(encode_line(value))
        assert again == value


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} was taken")


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def wire_reduced(lines: bytes) -> None:
    """Whatever a host sends, the rules have an answer to each command, and the narration's versions have no gap."""
    state = State()
    at = 0
    registered = b'{"cmd":"register","kind":"host","pid":1,"version":"1"}\n'
    for value in DECODER.decode(registered + lines.rstrip(b"\n") + b"\n"):
        if isinstance(value, Malformed):
            continue
        if msgspec.structs.asdict(value).keys() & {"status", "payload"}:
            continue  # they come to the rules as their encoded texts
        at += 700
        before = state.version
        step = reduce(state, value, Context("2026-01-01T00:00:00.000Z", at, "client", 1, 1))
        assert [event.version for event in step.events] == list(range(before + 1, state.version + 1))
    snapshot(state, "run")


def wire_launcher(lines: bytes) -> None:
    """Whatever a launcher sends, a client has a value of it, or says that it breaks the protocol."""
    try:
        whole = ClientConnection().receive(lines)
    except RemoteProtocolError:
        return
    connection = ClientConnection()
    assert [value for at in range(len(lines)) for value in connection.receive(lines[at : at + 1])] == whole


def deckfile(text: bytes) -> None:
    """A text is a quarterdeck.toml, or has faults that are told, a line each."""
    try:
        deck = parse_deckfile(text.decode("utf-8", "replace"), Path("/tmp/quarterdeck.toml"))
    except ConfigError as error:
        _one_line_each(error)
        return
    assert isinstance(deck, DeckFile)
    assert deck.processes


def settings(text: bytes) -> None:
    """Settings make a configuration, or a fault that is told."""
    try:
        Config.from_settings(text.decode("utf-8", "surrogateescape").split("\n"))
    except ConfigError as error:
        _one_line_each(error)


def _one_line_each(error: ConfigError) -> None:
    assert error.lines
    assert all(line and "\n" not in line for line in error.lines)


def variables(text: bytes) -> None:
    """The lines of an env_file are variables, or a fault that names the line."""
    try:
        found = read_variables(text.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        _names_line(error)
        return
    assert all(name and "=" not in name for name in found)


def _names_line(error: ValueError) -> None:
    assert str(error).startswith("line ")


def guard(lines: bytes) -> None:
    """Whatever the guard or the launcher is sent, it has a value of it, or a ValueError."""
    for line in lines.split(b"\n"):
        for value_of in (guard_wire.request_of, guard_wire.report_of):
            try:
                value = value_of(line)
            except ValueError:
                continue
            assert isinstance(value, tuple)


def journal_rows(lines: bytes) -> None:
    """Whatever the rows of a journal hold, whoever reads it has something of it, or says in a line what is wrong."""
    files = journals.with_rows_changed(lines)
    journals.look(files)
    journals.go_on(files)


def journal_bytes(lines: bytes) -> None:
    """Whatever the files of a journal hold, whoever reads it has something of it, or says in a line what is wrong."""
    files = journals.with_bytes_changed(lines)
    journals.look(files)
    journals.go_on(files)


def journal_import(lines: bytes) -> None:
    """Lines are a journal, whose export they are again, or a fault that names the line; then nothing is made."""
    journals.bring_in(lines)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "wire_split": wire_split,
    "wire_command": wire_command,
    "wire_reduced": wire_reduced,
    "wire_launcher": wire_launcher,
    "deckfile": deckfile,
    "settings": settings,
    "variables": variables,
    "guard": guard,
    "journal_rows": journal_rows,
    "journal_bytes": journal_bytes,
    "journal_import": journal_import,
}

CORPUS = Path(__file__).with_name("corpus")


def kept(name: str) -> list[bytes]:
    """The inputs of a target that are worth trying again: a line each, what is no plain ASCII as an escape."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").splitlines()
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


def keep(name: str, inputs: Iterable[bytes]) -> None:
    """Write them, the shortest first."""
    lines = [line.decode("latin-1").encode("unicode_escape").decode("ascii") for line in set(inputs)]
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.txt").write_text(
        "".join(f"{line}\n" for line in sorted(lines, key=lambda x: (len(x), x))), "ascii"
    )
