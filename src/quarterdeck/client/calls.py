"""Call: one command on its way, and what came of it. Calls: those whose answer is due, by id.

An id is never used twice in a client's life, so a late answer to a call that nobody waits for any more is nobody
else's.
"""

from __future__ import annotations

from collections.abc import Callable

from quarterdeck.errors import QuarterdeckError
from quarterdeck.schema.commands import AnyCommand
from quarterdeck.schema.replies import Reply


class Call:
    """A command and its outcome. `id` is None where no answer is awaited; then it is done once it is handed over.

    `on_done` is called when the outcome is there; `is_awaited` says whether anybody will look at it.
    """

    __slots__ = ("command", "id", "is_awaited", "line", "on_done", "outcome")

    def __init__(self, command: AnyCommand, id: int | None, line: bytes) -> None:
        self.command = command
        self.id = id
        self.line = line
        self.is_awaited = True
        self.on_done: Callable[[], None] | None = None
        self.outcome: Reply | QuarterdeckError | bool | None = None

    @property
    def done(self) -> bool:
        """Whether the outcome is there."""
        return self.outcome is not None

    def finish(self, outcome: Reply | QuarterdeckError | bool) -> None:
        """Note the outcome; the first one counts."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        if self.on_done is not None:
            self.on_done()

    def result(self) -> Reply | bool:
        """The reply. Raises: what the outcome is where it is an exception."""
        assert self.outcome is not None, "the call is not done"
        if isinstance(self.outcome, QuarterdeckError):
            raise self.outcome
        return self.outcome


class Calls:
    """The calls of one client: those that wait for a connection, and those whose answer is due."""

    def __init__(self) -> None:
        self._last_id = 0
        self._unsent: dict[Call, None] = {}  # a dict, so that one can leave from the middle
        self._due: dict[int, Call] = {}

    def __len__(self) -> int:
        """How many are not done."""
        return len(self._unsent) + len(self._due)

    def allot_id(self) -> int:
        """The next id."""
        self._last_id += 1
        return self._last_id

    def wait(self, call: Call) -> None:
        """Keep a call until there is a connection."""
        self._unsent[call] = None

    def take_unsent(self) -> list[Call]:
        """The calls that waited for a connection, in order."""
        unsent = list(self._unsent)
        self._unsent.clear()
        return unsent

    def sent(self, call: Call) -> None:
        """A call is on its way; one without an id is thereby done."""
        if call.id is None:
            call.finish(True)
        else:
            self._due[call.id] = call

    def answered(self, id: int | str | None) -> Call | None:
        """The call that an answer with this id is for; it is due no longer."""
        return self._due.pop(id, None) if isinstance(id, int) else None

    def abandon(self, call: Call) -> None:
        """Nobody waits any more. Unsent: it never goes out. Sent: its answer is dropped when it comes."""
        call.on_done = None
        call.is_awaited = False
        self._unsent.pop(call, None)

    def fail_due(self, error: QuarterdeckError) -> None:
        """No answer will come to what was sent."""
        due = list(self._due.values())
        self._due.clear()
        for call in due:
            call.finish(error)

    def fail_all(self, error: QuarterdeckError) -> None:
        """No answer will come to anything."""
        self.fail_due(error)
        for call in self.take_unsent():
            call.finish(error)
