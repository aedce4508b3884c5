"""Judge: what holds for every line that a client sends, and the rules of how it copes, which the scenes decide."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import msgspec

from quarterdeck.conformance.client.caller import Caller, Line
from quarterdeck.conformance.rules import Breach, Ledger, Rule
from quarterdeck.schema.commands import COMMAND_NAMES, Command
from quarterdeck.schema.replies import DIRECTIVE_NAMES
from quarterdeck.transport.peercred import is_or_descends

DEPTH_MAX: Final = 64
LINE_BYTES_MAX: Final = 1_048_576

ONE_OBJECT: Final = Rule("1", "one-object", "A client's line holds exactly one JSON object, in UTF-8, with a `cmd`.")
LINE_LENGTH: Final = Rule("1", "line-length", "A client's line has at most `max_line_bytes`, newline included.")
WHOLE_LINES: Final = Rule(
    "1", "whole-lines", "A last line without \\n is discarded, so a client ends each with one.", demanded=False
)
UNKNOWN_MEMBERS: Final = Rule("1", "unknown-members", "A client ignores members that it does not know.")
SPLIT_LINES: Final = Rule("1", "split-lines", "A client copes with lines whose bytes come one by one.")
JOINED_LINES: Final = Rule("1", "joined-lines", "A client copes with many lines that come at once.")
LONG_LINES: Final = Rule("1", "long-lines", "A client copes with lines that are longer than its own may be.")
SINCE_IN_RUN: Final = Rule("2", "since-with-run", "`since` above 0 comes with a `run_id` that the client was told.")
CURSOR: Final = Rule("2", "cursor", "A client resumes from no version above those that it was told in this run.")
RESUMES: Final = Rule("2", "resumes", "A client that comes back resumes from its cursor.", demanded=False)
UNKNOWN_RUN: Final = Rule(
    "2", "unknown-run", "After `unknown_run` a client does not come with that run's cursor again."
)
REGISTER_FIRST: Final = Rule("3.1", "register-first", "The first command on each connection is `register`.")
REGISTER_ONCE: Final = Rule("3.2", "register-once", "A connection registers once.")
GOODBYE_LAST: Final = Rule("3.4", "nothing-after-goodbye", "A client sends nothing after `goodbye`.")
GOODBYE: Final = Rule("3.4", "goodbye", "A client that is asked to end says `goodbye`.", demanded=False)
MEMBERS: Final = Rule("4", "members", "A client's commands have the members of the protocol's table.")
MISROUTED: Final = Rule("4", "misrouted", "A client sends no directive.")
OWN_COMMANDS: Final = Rule(
    "4", "known-commands", "A command is one of the protocol's, or of a slice of the application.", demanded=False
)
UNKNOWN_EVENTS: Final = Rule("5", "unknown-events", "A client copes with events that it does not know.")
LAGGED: Final = Rule("6", "lagged", "A client copes with `lagged`, and resumes from its version.", demanded=False)
UNKNOWN_DIRECTIVES: Final = Rule("7", "unknown-directives", "A client copes with directives that it does not know.")
SHUTDOWN: Final = Rule("7", "shutdown", "A client copes with `shutdown` and the end that follows.")
ENDPOINT: Final = Rule("9", "endpoint", "A client connects to QUARTERDECK_ENDPOINT and registers in time.")
PID: Final = Rule("9", "pid", "A client registers the pid of its own process or of one below it.")

RULES: Final = (
    ONE_OBJECT,
    LINE_LENGTH,
    WHOLE_LINES,
    UNKNOWN_MEMBERS,
    SPLIT_LINES,
    JOINED_LINES,
    LONG_LINES,
    SINCE_IN_RUN,
    CURSOR,
    RESUMES,
    UNKNOWN_RUN,
    REGISTER_FIRST,
    REGISTER_ONCE,
    GOODBYE_LAST,
    GOODBYE,
    MEMBERS,
    MISROUTED,
    OWN_COMMANDS,
    UNKNOWN_EVENTS,
    LAGGED,
    UNKNOWN_DIRECTIVES,
    SHUTDOWN,
    ENDPOINT,
    PID,
)


class Judge:
    """Holds one client's lines, in one scene, to the rules. `told` is the greatest version told in each run."""

    def __init__(self, ledger: Ledger, evidence: Iterable[str]) -> None:
        self.told: dict[str, int] = {}
        self._ledger = ledger
        self._evidence = evidence

    def of(self, caller: Caller, line: bytes) -> Line | None:
        """The command in a line, if a launcher would carry it out."""
        self.hold(LINE_LENGTH, len(line) < LINE_BYTES_MAX, f"at most {LINE_BYTES_MAX} bytes", f"{len(line) + 1}")
        command = self._object(line)
        if command is None or not self._in_turn(caller, command):
            return None
        cmd = str(command["cmd"])
        if not self.hold(MISROUTED, cmd not in DIRECTIVE_NAMES, "no directive", f"`{cmd}`"):
            return None
        if not self.hold(OWN_COMMANDS, cmd in COMMAND_NAMES, "a command of the protocol", f"`{cmd}`"):
            return None
        if not self._has_members(command):
            return None
        if cmd == "register":
            self._claims(caller, command)
        return command

    def hold(self, rule: Rule, is_upheld: bool, expected: str, got: str) -> bool:
        """Enter whether a rule held."""
        if is_upheld:
            self._ledger.uphold(rule)
        else:
            self._ledger.breach(rule, Breach(expected, got), tuple(self._evidence))
        return is_upheld

    def _object(self, line: bytes) -> Line | None:
        try:
            value = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            self.hold(ONE_OBJECT, False, "one JSON object in UTF-8", str(error))
            return None
        is_command = isinstance(value, dict) and isinstance(value.get("cmd"), str) and _depth(value) <= DEPTH_MAX
        self.hold(ONE_OBJECT, is_command, f"an object with `cmd`, at most {DEPTH_MAX} deep", repr(value)[:200])
        return value if is_command else None

    def _in_turn(self, caller: Caller, command: Line) -> bool:
        cmd = str(command["cmd"])
        if not self.hold(GOODBYE_LAST, not caller.said_goodbye, "nothing after `goodbye`", f"`{cmd}`"):
            return False
        caller.said_goodbye = cmd == "goodbye"
        if caller.is_registered:
            return self.hold(REGISTER_ONCE, cmd != "register", "no second `register`", "`register`")
        return self.hold(REGISTER_FIRST, cmd == "register", "`register` first", f"`{cmd}`")

    def _has_members(self, command: Line) -> bool:
        for asked in (command, command.get("subscribe")):
            if isinstance(asked, dict) and isinstance(asked.get("since"), int) and asked["since"] > 0:
                self._resumes_from(asked["since"], asked.get("run_id"))
        try:
            msgspec.convert(command, Command)
        except msgspec.ValidationError as error:
            return self.hold(MEMBERS, False, "the members of the protocol's table", f"{command['cmd']}: {error}")
        return self.hold(MEMBERS, True, "", "")

    def _resumes_from(self, since: int, run_id: object) -> None:
        told = self.told.get(run_id) if isinstance(run_id, str) else None
        self.hold(SINCE_IN_RUN, told is not None, "a `run_id` that it was told, with `since`", f"run_id {run_id!r}")
        if told is not None:
            self.hold(CURSOR, since <= told, f"`since` of at most {told}, the greatest that it was told", f"{since}")

    def _claims(self, caller: Caller, command: Line) -> None:
        peer = caller.link.peer.pid
        if peer is not None:
            is_its = is_or_descends(int(command["pid"]), peer)
            self.hold(PID, is_its, f"the pid of the connected process, {peer}, or of one below it", str(command["pid"]))


def _depth(value: object) -> int:
    """How deep a value nests; what json has read nests no deeper than Python's own calls."""
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
