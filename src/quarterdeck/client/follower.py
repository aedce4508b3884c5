"""Follower: where in the stream a client is, what it mirrors, and what its iterators are told.

Rules: the cursor goes up with every stream event, bookmark, lag, snapshot and subscription; an event at or below it
was given before. A mirror that missed something is stale until a new snapshot came. When a run is over, its versions
are worth nothing: the next run begins with a snapshot, which the iterators are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck.client.channel import Channel
from quarterdeck.client.cursor import Cursor, RunChanged, Told
from quarterdeck.client.terms import Terms
from quarterdeck.errors import RemoteProtocolError
from quarterdeck.schema.commands import Subscribe, Subscription
from quarterdeck.schema.events import AnyEvent
from quarterdeck.schema.replies import Bookmark, Lagged, Registered, Snapshot, Subscribed
from quarterdeck.schema.types import Slow
from quarterdeck.wire.codec import Unknown

if TYPE_CHECKING:
    from quarterdeck.core.mirror import Mirror


class Follower:
    """Follows one subscription, over as many connections and runs as it takes. `version` is the newest heard of."""

    def __init__(self, terms: Terms) -> None:
        self.run_id = terms.since.run_id if terms.since else None
        self.version = 0
        self.mirror: Mirror | None = None
        self.snapshot: Snapshot | None = None
        self.events: Channel[Told] = Channel(terms.queue_max)
        self.wants_snapshot = False  # the session is to ask for one
        self._slices = terms.slices
        self._wants_mirror = terms.mirror
        self._is_stale = terms.mirror  # there is no mirror yet, or it has missed something
        self._patterns = terms.patterns
        self._slow: Slow = terms.slow
        self._at = terms.since.version if terms.since else 0
        self._old_run_id: str | None = None  # of a run that is over, until the iterators were told

    @property
    def cursor(self) -> Cursor:
        """The last place seen; what waits in an iterator counts as seen."""
        return Cursor(self.run_id or "", self._at)

    @property
    def is_whole(self) -> bool:
        """Whether the mirror, if there is to be one, is there."""
        return self.mirror is not None or not self._wants_mirror

    @property
    def is_between_runs(self) -> bool:
        """Whether a run is over and the next one not yet followed."""
        return self._old_run_id is not None

    # -- Registering -------------------------------------------------------------------------------------------------

    def subscription(self) -> Subscription:
        """What to subscribe to when registering: from the cursor, or anew."""
        if self.run_id is not None and self._old_run_id is None:
            return Subscription(events=self._patterns, since=self._at, run_id=self.run_id, slow=self._slow)
        anew = self._wants_mirror or self._old_run_id is not None
        return Subscription(events=self._patterns, slow=self._slow, snapshot=anew or None)

    def run_is_over(self) -> None:
        """The launcher does not know the run of our cursor."""
        self._old_run_id = self.run_id
        self._is_stale = self._wants_mirror

    def registered(self, reply: Registered) -> None:
        """Take the run that the launcher says. Raises: RemoteProtocolError where it is not the one resumed."""
        if self.run_id is None or self._old_run_id is not None:
            self.run_id, self._at, self.version = reply.run_id, 0, 0
        elif reply.run_id != self.run_id:
            raise RemoteProtocolError(f"run {self.run_id} was resumed, and the launcher answered as {reply.run_id}")
        self.heard_of(reply.version)

    def ready(self) -> None:
        """The registration is complete. Raises: RemoteProtocolError where a snapshot is missing."""
        self.wants_snapshot = self._is_stale
        if self._old_run_id is None:
            return
        if self.snapshot is None or self.snapshot.run_id != self.run_id:
            raise RemoteProtocolError("the launcher sent no snapshot although one was asked for")
        self.events.put(RunChanged(self._old_run_id, self.snapshot.run_id, self.snapshot))
        self._old_run_id = None

    # -- The stream --------------------------------------------------------------------------------------------------

    def event(self, event: AnyEvent | Unknown, version: int) -> None:
        """Take the next stream event, unless it was taken before."""
        if version <= self._at:
            return
        if version != self._at + 1 and "*" in self._patterns:
            # Unfiltered, versions have no gap; where the launcher breaks that, the iterators are told all the same.
            self._miss(Lagged(self._at + 1, version - 1, version - 1))
        self._see(version)
        if self.mirror is not None and not self._is_stale:
            self._fold(self.mirror, event)
        self.events.put(event)

    def lagged(self, reply: Lagged) -> None:
        """The launcher no longer held what came next."""
        if reply.to > self._at:
            self._miss(reply)
            self._see(reply.to)
            if self._slow == "snapshot":
                self.wants_snapshot = False  # the launcher sends one unasked

    def bookmark(self, reply: Bookmark) -> None:
        """Nothing up to here concerned this subscription."""
        self._see(reply.version)

    def subscribed(self, reply: Subscribed, command: Subscribe | None) -> None:
        """A subscription stands: the one registered with, or that of a command. It may go back: that was asked for."""
        if command is not None:
            self._patterns = command.events or ("*",)
            self._slow = command.slow or "gap"
            if self.mirror is not None and self.mirror.version < reply.version:
                self._resync()  # it begins further on: the iterators asked for it, the mirror did not
        self._at = reply.version
        self.heard_of(reply.version)

    def took_snapshot(self, reply: Snapshot, *, was_asked: bool) -> None:
        """A snapshot is a cut of the stream: everything up to its version came before it."""
        self._see(reply.version)
        if not was_asked:
            self.snapshot = reply
        if self._wants_mirror and (self._is_stale or self.mirror is None or reply.version > self.mirror.version):
            self._start_mirror(reply)

    def heard_of(self, version: int) -> None:
        """The launcher spoke of this version."""
        self.version = max(self.version, version)

    def _see(self, version: int) -> None:
        self._at = max(self._at, version)
        self.heard_of(version)

    def _miss(self, notice: Lagged) -> None:
        self.events.put(notice)
        self._resync()

    def _resync(self) -> None:
        """The mirror, if there is to be one, has missed something."""
        if self._wants_mirror and not self._is_stale:
            self._is_stale = self.wants_snapshot = True

    def _fold(self, mirror: Mirror, event: AnyEvent | Unknown) -> None:
        try:
            if isinstance(event, Unknown):
                mirror.pass_over(event.version or 0)
            else:
                mirror.apply(event)
        except (RemoteProtocolError, LookupError):
            self._resync()

    def _start_mirror(self, start: Snapshot) -> None:
        from quarterdeck.core.mirror import Mirror  # here: most clients have none, and it costs their start

        self.mirror = Mirror(start, self._slices)
        self._is_stale = False
        self.wants_snapshot = False
