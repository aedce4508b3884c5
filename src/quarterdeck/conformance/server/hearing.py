"""Hearing: what holds for every line that a launcher sends, whatever it is asked, held against each one heard.

One Hearing a connection. It knows what was sent there as far as that decides what may come back: whether it registered,
whether its subscription is filtered, which ids are due an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec

from quarterdeck.conformance.rules import Breach, Ledger, Rule
from quarterdeck.conformance.transcript import Transcript
from quarterdeck.schema.events import EVENT_TYPES
from quarterdeck.schema.replies import DIRECTIVE_TYPES, REPLY_NAMES, REPLY_TYPES

Line = dict[str, Any]

ONE_OBJECT: Final = Rule(
    "1", "lines-from-the-launcher", "A line holds exactly one JSON object, in UTF-8, ended by \\n."
)
TAGGED: Final = Rule(
    "1", "tags", 'What a launcher sends is tagged by `event`, or it is a directive: `"kind":"command"` and `cmd`.'
)
ID_ONCE: Final = Rule("1", "id-once", "Exactly one line echoes an id, and none that was not sent.")
DENSE: Final = Rule("2", "dense", "Versions count up by exactly one each: no gap, no duplicate.")
FENCE: Final = Rule(
    "2", "fence", "A reply with version V follows every stream event up to V that its connection is due."
)
SNAPSHOT_CUT: Final = Rule("2", "snapshot-is-a-cut", "A snapshot at V is followed by V+1.")
ERROR_VERSION: Final = Rule("2", "error-has-no-version", "In `error`, `version` is always 0.")
SILENT_BEFORE: Final = Rule("3.1", "only-errors-before-register", "Before `register` nothing is sent but errors.")
EXIT_ONCE: Final = Rule(
    "3.5", "one-exit", "Exactly one exit per registration, always before the next registration of that pid."
)


def _members(section: str, types: tuple[type[msgspec.Struct], ...], what: str) -> dict[str, tuple[Rule, type]]:
    """One rule a type: its members, as the tables of the protocol have them."""
    rules = {}
    for kind in types:
        name = str(kind.__struct_config__.tag)
        members = [field.encode_name for field in msgspec.structs.fields(kind)]
        rules[name] = (
            Rule(section, name, f"{what} `{name}` has {', '.join(f'`{member}`' for member in members)}."),
            kind,
        )
    return rules


EVENTS: Final = _members("5", EVENT_TYPES, "The event")
REPLIES: Final = _members("6", REPLY_TYPES, "The reply")
DIRECTIVES: Final = _members("7", DIRECTIVE_TYPES, "The directive")
EVERY_LINE: Final = (
    ONE_OBJECT,
    TAGGED,
    ID_ONCE,
    DENSE,
    FENCE,
    SNAPSHOT_CUT,
    ERROR_VERSION,
    SILENT_BEFORE,
    EXIT_ONCE,
    *(rule for rule, _ in (*EVENTS.values(), *REPLIES.values(), *DIRECTIVES.values())),
)


class Hearing:
    """The judge of what one connection hears."""

    def __init__(self, ledger: Ledger, transcript: Transcript) -> None:
        self._ledger = ledger
        self._transcript = transcript
        self._may_hear_events = False  # `register` was sent
        self._is_filtered = False
        self._cursor: int | None = None
        self._due_ids: list[Any] = []
        self._echoed: list[Any] = []
        self._live: set[int] = set()
        self._gone: set[int] = set()
        self._follows: dict[str, Callable[[Line], None]] = {
            "subscribed": self._jump,
            "lagged": self._jump,
            "bookmark": self._jump,
            "snapshot": self._snapshot,
            "registered": self._registered,
            "pong": self._fenced,
            "ack": self._fenced,
            "metrics": self._fenced,
            "event_list": self._fenced,
            "error": self._error,
        }
        self._register_subscribes = False
        self._snapshots_due = 0

    # --- what we send

    def sent(self, command: Line) -> None:
        """A command goes out."""
        if command.get("id") is not None:
            self._due_ids.append(command["id"])
        subscription = command if command.get("cmd") == "subscribe" else command.get("subscribe")
        if isinstance(subscription, dict):
            self._is_filtered = self._is_filtered or subscription.get("events") is not None
            self._snapshots_due += subscription.get("snapshot") is True
        if command.get("cmd") == "register":
            self._may_hear_events = True
            self._register_subscribes = isinstance(subscription, dict)

    # --- what we hear

    def heard(self, line: bytes) -> Line:
        """The object of a line. Raises: Breach where it is none, for nothing that follows could be understood."""
        value = self._object(line)
        self._ledger.uphold(ONE_OBJECT)
        name = value.get("event")
        if isinstance(name, str):
            self._ledger.uphold(TAGGED)
            self._event(name, value)
        elif value.get("kind") == "command" and isinstance(value.get("cmd"), str):
            self._ledger.uphold(TAGGED)
            self._hold(DIRECTIVES, str(value["cmd"]), value)
        else:
            self._broken(TAGGED, "`event`, or `kind` and `cmd`", "neither")
        return value

    def _object(self, line: bytes) -> Line:
        try:
            value = json.loads(line.decode(), parse_constant=_no_constant)
        except ValueError as error:
            raise Breach("one JSON object in UTF-8", f"a line that is none: {error}", ONE_OBJECT) from None
        if not isinstance(value, dict):
            raise Breach(
                "one JSON object in UTF-8", f"JSON that is no object, but a {type(value).__name__}", ONE_OBJECT
            )
        return value

    def _event(self, name: str, value: Line) -> None:
        if not self._may_hear_events:
            self._verdict(SILENT_BEFORE, name == "error", "nothing but errors before `register`", f"`{name}`")
        if name in REPLY_NAMES:
            self._hold(REPLIES, name, value)
            self._echo(value)
            self._follows[name](value)
        else:
            self._hold(EVENTS, name, value)
            self._stream(value)

    def _echo(self, value: Line) -> None:
        if "id" not in value:
            return
        id = value["id"]
        is_due = any(id == due and type(id) is type(due) for due in self._due_ids)
        if is_due:
            self._due_ids.remove(id)
            self._echoed.append(id)
        got = "a second line with that id" if id in self._echoed else "an id that was never sent"
        self._verdict(ID_ONCE, is_due, f"one line that echoes id {id!r}", got)

    def _stream(self, value: Line) -> None:
        version = value.get("version")
        if not isinstance(version, int):
            self._broken(DENSE, "a version in every stream event", f"version {version!r}")
            return
        before, self._cursor = self._cursor, version
        if before is not None:
            is_next = version > before if self._is_filtered else version == before + 1
            wanted = f"a version above {before}" if self._is_filtered else f"version {before + 1}"
            self._verdict(DENSE, is_next, wanted, f"version {version}")
        if not self._is_filtered:
            self._registrations(value)

    def _registrations(self, value: Line) -> None:
        pid = value.get("pid")
        if value["event"] == "process_spawned" and isinstance(pid, int):
            self._verdict(EXIT_ONCE, pid not in self._live, f"the exit of pid {pid} before it is spawned again", "none")
            self._live.add(pid)
            self._gone.discard(pid)
        elif value["event"] == "process_exited" and isinstance(pid, int):
            self._verdict(EXIT_ONCE, pid not in self._gone, f"one exit of pid {pid}", "a second one")
            self._live.discard(pid)
            self._gone.add(pid)

    def _registered(self, value: Line) -> None:
        if not self._register_subscribes:
            self._fenced(value)

    def _error(self, value: Line) -> None:
        version = value.get("version")
        self._verdict(
            ERROR_VERSION, version == 0 and not isinstance(version, bool), "version 0", f"version {version!r}"
        )

    def _jump(self, value: Line) -> None:
        """The connection's cursor is this; exits of those it did not see come cannot be counted any more."""
        version = value.get("version")
        if isinstance(version, int):
            if self._cursor is not None and version != self._cursor:
                self._live.clear()
                self._gone.clear()
            self._cursor = version

    def _snapshot(self, value: Line) -> None:
        if self._snapshots_due and "id" not in value:
            self._snapshots_due -= 1  # the first part of a subscription: what follows it begins there
            self._jump(value)
        else:
            self._fenced(value, SNAPSHOT_CUT)

    def _fenced(self, value: Line, rule: Rule = FENCE) -> None:
        version = value.get("version")
        if isinstance(version, int) and self._cursor is not None and not self._is_filtered:
            is_reached = self._cursor >= version if rule is FENCE else self._cursor == version
            self._verdict(
                rule, is_reached, f"every event up to version {version} before it", f"them up to {self._cursor}"
            )

    def _hold(self, rules: dict[str, tuple[Rule, type]], name: str, value: Line) -> None:
        """What the vocabulary says of its members; a name that it does not know is an application's own."""
        if name not in rules:
            return
        rule, kind = rules[name]
        if name == "event_list" and isinstance(value.get("events"), list):
            for event in value["events"]:
                self._hold(EVENTS, str(event.get("event")), event)
            value = {**value, "events": []}
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self._broken(rule, "the members of the protocol's table", str(error))
        else:
            self._ledger.uphold(rule)

    def _verdict(self, rule: Rule, is_upheld: bool, expected: str, got: str) -> None:
        if is_upheld:
            self._ledger.uphold(rule)
        else:
            self._broken(rule, expected, got)

    def _broken(self, rule: Rule, expected: str, got: str) -> None:
        self._ledger.breach(rule, Breach(expected, got), self._transcript.shown())


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
