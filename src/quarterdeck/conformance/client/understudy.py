"""Understudy: what a launcher would answer, from the real rules, with what a scene needs to go wrong on purpose.

The reducer decides, so that every command has the answer and the events that it has in life. What a server adds (the
fan-out by filter, backlogs, the comparison of runs) is here, as plainly as it can be.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any, Final

import msgspec

from quarterdeck.conformance.client.caller import Caller, Line
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from quarterdeck.core.step import Context, Input, Refused, Step, SyntheticGoodbye, Welcome
from quarterdeck.schema import commands as c
from quarterdeck.schema.patterns import matches

NOW: Final = "2026-01-01T00:00:00.000Z"
LINE_BYTES_MAX: Final = 1_048_576


class Understudy:
    """The launcher's part. `run_id` names the run; `restart` begins another one."""

    def __init__(self) -> None:
        self.state = State()
        self.run_id = str(uuid.uuid4())
        self._told: list[Line] = []
        self._callers: list[Caller] = []

    def restart(self) -> None:
        """A new run: nothing is known of the last one."""
        self.__init__()  # type: ignore[misc]  # everything anew is what a restart is

    def skip(self, versions: int) -> int:
        """Pass over versions that nobody will be told; the newest one then."""
        self.state.version += versions
        return self.state.version

    def take(self, caller: Caller, command: Line) -> None:
        """Carry out a valid command of a connection, and answer it."""
        asked = msgspec.convert(command, c.Command)
        if isinstance(asked, c.Register):
            self._register(caller, asked, command)
        elif isinstance(asked, c.Subscribe):
            self._subscribe(caller, asked, asked.id)
        elif isinstance(asked, c.GetSnapshot):
            caller.say(_with_id(self._snapshot(), asked.id))
        elif isinstance(asked, c.GetEvents):
            self._events(caller, asked)
        else:
            self._other(caller, asked)

    def left(self, caller: Caller) -> None:
        """A connection ended: the synthetic goodbye, if it was registered."""
        if caller in self._callers:
            self._callers.remove(caller)
            self._step(SyntheticGoodbye("disconnected"), caller.pid)

    def tell(self, event: Line) -> None:
        """Tell an event that the rules know nothing of, under the next version."""
        self._tell({**event, "version": self.state.next_version()})

    # --- commands

    def _register(self, caller: Caller, asked: c.Register, command: Line) -> None:
        wanted = asked.subscribe
        if wanted is not None and self._is_refused(caller, wanted, asked.id):
            return
        before = self.state.version
        plain = asked.subscribe is None
        caller.pid, caller.events = asked.pid, wanted.events if wanted is not None else None
        if plain:
            self._callers.append(caller)
        step = self._step(asked, asked.pid)
        if not isinstance(step.reply, Welcome):
            if plain:
                self._callers.remove(caller)
            self._refuse(caller, step.reply, asked.id)
            return
        caller.is_registered = True
        registered = {
            "event": "registered",
            "client_id": step.reply.client_id,
            "launcher_pid": os.getpid(),
            "launcher_version": "conform",
            "version": self.state.version,
            "run_id": self.run_id,
            "protocol": 1,
            "max_line_bytes": LINE_BYTES_MAX,
        }
        caller.say(_with_id(registered, asked.id))
        if wanted is not None:
            self._callers.append(caller)
            self._begin(caller, wanted, before, None)

    def _subscribe(self, caller: Caller, asked: c.Subscribe, id: int | str | None) -> None:
        if not self._is_refused(caller, asked, id):
            caller.events = asked.events
            self._begin(caller, asked, self.state.version, id)

    def _begin(self, caller: Caller, wanted: c.Subscription | c.Subscribe, head: int, id: int | str | None) -> None:
        cursor = head if wanted.since is None else wanted.since
        if wanted.snapshot:
            caller.say(self._snapshot())
            cursor = self.state.version
        caller.say(_with_id({"event": "subscribed", "version": cursor, "truncated": False}, id))
        for event in self._told:
            if event["version"] > cursor:
                self._send(caller, event)

    def _is_refused(self, caller: Caller, wanted: c.Subscription | c.Subscribe, id: int | str | None) -> bool:
        if wanted.run_id is not None and wanted.run_id != self.run_id:
            self._error(caller, "unknown_run", f"this run is {self.run_id}", id)
            return True
        if wanted.since is not None and wanted.since > self.state.version:
            self._error(caller, "invalid_command", f"`since`: the newest version is {self.state.version}", id)
            return True
        return False

    def _events(self, caller: Caller, asked: c.GetEvents) -> None:
        if asked.run_id is not None and asked.run_id != self.run_id:
            self._error(caller, "unknown_run", f"this run is {self.run_id}", asked.id)
            return
        events = [event for event in self._told if event["version"] > asked.since][: asked.limit or 1000]
        page = {"event": "event_list", "events": events, "version": self.state.version, "truncated": False, "oldest": 1}
        caller.say(_with_id(page, asked.id))

    def _other(self, caller: Caller, asked: Any) -> None:
        step = self._step(asked, caller.pid)
        if isinstance(step.reply, Refused):
            self._refuse(caller, step.reply, asked.id)
        elif isinstance(asked, c.Ping):
            caller.say(_with_id({"event": "pong", "nonce": asked.nonce, "version": self.state.version}, asked.id))
        elif asked.id is not None:
            caller.say({"event": "ack", "version": self.state.version, "id": asked.id})
        if isinstance(asked, c.Goodbye):
            self._callers.remove(caller)
            caller.close()

    # --- telling

    def _step(self, input: Input, pid: int | None) -> Step:
        if isinstance(input, c.ReportStatus):  # kept as its encoded text, as in life
            input = msgspec.structs.replace(input, status=msgspec.Raw(json.dumps(input.status).encode()))
        is_client = not isinstance(input, SyntheticGoodbye)
        step = reduce(self.state, input, Context(NOW, 0, "client" if is_client else "launcher", None, pid))
        for event in step.events:
            self._tell(_plain(event))
        return step

    def _tell(self, event: Line) -> None:
        self._told.append(event)
        for caller in self._callers:
            self._send(caller, event)

    def _send(self, caller: Caller, event: Line) -> None:
        if caller.events is None or any(matches(pattern, str(event["event"])) for pattern in caller.events):
            caller.say(event)

    def _snapshot(self) -> Line:
        return _plain(snapshot(self.state, self.run_id))

    def _refuse(self, caller: Caller, reply: object, id: int | str | None) -> None:
        assert isinstance(reply, Refused)
        self._error(caller, reply.code, reply.message, id, fatal=reply.fatal)

    def _error(self, caller: Caller, code: str, message: str, id: int | str | None, *, fatal: bool = False) -> None:
        error = {"event": "error", "code": code, "message": message, "fatal": fatal, "version": 0}
        caller.say(_with_id(error, id))
        if fatal:
            caller.close()


def _plain(value: msgspec.Struct) -> Line:
    """As JSON has it."""
    plain: Line = msgspec.to_builtins(value, enc_hook=lambda raw: json.loads(bytes(raw)))
    return plain


def _with_id(line: Line, id: int | str | None) -> Line:
    return line if id is None else {**line, "id": id}
