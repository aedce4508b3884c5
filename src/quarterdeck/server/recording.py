"""Recording: the engine's side of the journal. Gathers a turn's steps, commits them before anybody is told, keeps the
state's hash and now and then the state, and goes on when the journal fails.

    ok ── a commit fails ──> late: steps wait in the backlog, and are kept when the journal works again
                             late ── too many wait, or the file was damaged ──> lost: they are counted, not kept
    late, lost ── a commit works ──> ok; after `lost` with the hole marked and the state behind it

Both troubles are told as `failing` (`journal_changed`); the launcher serves on. It tries again after 1 s, then twice
as long each time, up to 30 s. A damaged file is set aside, with all of the run that it holds: the new one begins with
that as a hole.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Final

import msgspec

from quarterdeck.config import Limits
from quarterdeck.core.checkpoint import freeze
from quarterdeck.core.saga import Saga
from quarterdeck.core.saga_kinds import NO_SAGAS
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, JournalReported, Step
from quarterdeck.errors import JournalDamaged, JournalError
from quarterdeck.log.backlog import Backlog
from quarterdeck.log.history import History
from quarterdeck.log.journal import Journal, KeptValues, Lost, set_aside
from quarterdeck.schema.types import JournalState
from quarterdeck.server.epilogue import close_last_run
from quarterdeck.server.ports import Identity, JournalFigures
from quarterdeck.server.recorded import UNRECORDED, Recorded, recorded
from quarterdeck.server.runs import Head
from quarterdeck.slices.loaded import NONE, Loaded, home_of
from quarterdeck.wire.codec import encode_each, encode_value

log = logging.getLogger("quarterdeck.server")

HASH_EVERY: Final = 1_000
"""Inputs between two hashes of the state; more where the state is so large that it would be felt."""
STATE_EVERY: Final = 10
"""Hashes between two whole states: time travel reads at most so many inputs. The journal may ask for more of them."""
ROWS_CHEAP: Final = 8_192
"""Rows of state that are hashed in a few milliseconds."""
RETRY_S: Final = 1.0
RETRY_S_MAX: Final = 30.0
CALM_S: Final = 60.0
"""Trouble sooner after the last one goes on with its pauses: a disk that is just about full is no news each second."""


_Reduced = tuple[int, int, Recorded, bytes, int]
"""A `Kept` whose input is still to be encoded."""


def no_time() -> int:
    """The counter of those who do not measure."""
    return 0


class Recording:
    """Keeps one run. `opens` opens the journal, and may be called again after trouble."""

    def __init__(
        self,
        opens: Callable[[], Journal],
        identity: Identity,
        rules: Rules,
        limits: Limits,
        now: str,
        loaded: Loaded = NONE,
        sagas: Mapping[str, type[Saga]] = NO_SAGAS,
        *,
        now_ms: int = 0,
        elapsed_ns: Callable[[], int] = no_time,
    ) -> None:
        self._opens = opens
        self._loaded = loaded
        self._saga_homes = {name: home_of(kind) for name, kind in sagas.items()}
        self._identity = identity
        self._limits = limits
        self._elapsed_ns = elapsed_ns
        self._clock = _UnixMs()
        self._began_ms, self._began_ran_ms = self._clock.of(now), now_ms
        self._journal: Journal | None = None
        self._trouble: str | None = None
        try:
            self._journal = self._begun(rules, "ok")
        except JournalError as error:
            self._trouble = str(error)
            log.error("the journal cannot be written, and the launcher goes on without it for now: %s", error)
        self.rules = msgspec.structs.replace(rules, journal="ok" if self._trouble is None else "failing")
        self._state = State(self.rules)
        self._pending: list[_Reduced] = []
        self._inputs = 0  # of the run, lost ones included
        self._hashes = 0
        self._next_hash = HASH_EVERY
        self._backlog = Backlog()
        self._lost_inputs: int | None = None  # None: nothing is lost so far
        self._lost_before = 0
        self._last: KeptValues | None = None  # the newest step that was not kept at once
        self._figures = JournalFigures()
        self._damaged: Journal | None = None  # to be set aside before another one is opened
        self._retry_s = RETRY_S
        self._worked_s = float("-inf")  # since when it works again, in the loop's time
        self._retry: asyncio.TimerHandle | None = None

    def _begun(self, rules: Rules, state: JournalState) -> Journal:
        """An open journal with this run in it."""
        journal = self._opens()
        who, loaded = self._identity, self._loaded
        kept = msgspec.structs.replace(rules, journal=state)
        head = Head(who.run_id, who.version, who.pid, kept, loaded.versions, loaded.homes, self._saga_homes)
        try:
            close_last_run(journal)
            journal.begin_run(self._identity.run_id, encode_value(head), self._began_ms, self._began_ran_ms)
        except BaseException:
            journal.close()
            raise
        return journal

    def attach(
        self,
        state: State,
        history: History,
        loop: asyncio.AbstractEventLoop,
        observe: Callable[[JournalReported], None],
    ) -> None:
        """Be told whose state is kept, which history reads the journal, and whom to tell of trouble."""
        self._state = state
        self._history = history
        self._loop = loop
        self._observe = observe
        history.journal = self._journal
        history.backlog = self._backlog
        history.on_error = self._fail
        if self._trouble is not None:
            self._try_later()

    @property
    def is_failing(self) -> bool:
        """Whether what is told now is not kept yet, or will not be."""
        return self._trouble is not None

    @property
    def follows_a_run(self) -> bool:
        """Whether the journal holds something of earlier runs, as far as it can be seen."""
        return self._journal is not None and self._journal.follows_a_run

    # --- a turn

    def record(self, value: Input, ctx: Context, lines: list[bytes], step: Step) -> None:
        """One input was reduced to a step, and these are its events."""
        if type(value) in UNRECORDED:
            return
        events = lines[0] if len(lines) == 1 else b"".join(lines)
        at_ms = self._clock.of(ctx.now)
        self._pending.append((self._state.version, at_ms, recorded(value, ctx, step), events, ctx.now_ms))

    def record_burst(self, burst: Sequence[Input], contexts: Sequence[Context], lines: Sequence[bytes]) -> None:
        """The newest inputs, which were reduced to one event each at one moment, of which these are the lines."""
        versions = range(self._state.version - len(lines) + 1, self._state.version + 1)
        at_ms, ran_ms = self._clock.of(contexts[0].now), contexts[0].now_ms
        self._pending += zip(versions, repeat(at_ms), map(Recorded, contexts, burst), lines, repeat(ran_ms))

    def commit(self) -> None:
        """Keep what this turn has recorded."""
        if not self._pending:
            return
        steps = self._encoded()
        if self._trouble is not None or self._journal is None:
            self._put_off(steps)
            return
        try:
            self._append(self._journal, steps)
        except JournalError as error:
            self._put_off(steps)
            self._fail(error)
            return
        if self._inputs >= self._next_hash or self._journal.is_state_due:
            try:
                self._checkpoint(self._journal)
            except JournalError as error:
                self._fail(error)

    def _encoded(self) -> list[KeptValues]:
        """What was recorded so far, which is pending no more; all inputs are encoded at once."""
        pending, self._pending = self._pending, []
        self._inputs += len(pending)
        if len(pending) == 1:  # as where commands come alone
            version, at_ms, input, told, ran_ms = pending[0]
            return [(version, at_ms, encode_value(input), told, ran_ms)]
        versions, times, inputs, events, ran = zip(*pending, strict=True)
        return list(zip(versions, times, encode_each(inputs), events, ran, strict=True))

    def _append(self, journal: Journal, steps: list[KeptValues]) -> None:
        began_ns = self._elapsed_ns()
        size = journal.append(steps)
        figures = self._figures
        figures.commits.add(self._elapsed_ns() - began_ns)
        figures.steps += len(steps)
        figures.bytes += size

    def figures(self) -> JournalFigures:
        """What was kept so far, and what waits."""
        self._figures.waiting_bytes = self._backlog.bytes
        self._figures.waiting_steps = len(self._backlog.steps)
        self._figures.lost_inputs = self._lost_before + (self._lost_inputs or 0)
        return self._figures

    def _checkpoint(self, journal: Journal, lost: Lost | None = None) -> None:
        """Keep the hash of the state, and the state in every tenth row and where the journal asks for it; behind a hole
        always, together with it.
        """
        state = encode_value(freeze(self._state))
        digest = hashlib.sha256(state).hexdigest()
        if lost is not None:
            journal.mark_hole(lost, self._inputs, digest, state)
        else:
            is_whole = (self._hashes + 1) % STATE_EVERY == 0 or journal.is_state_due
            journal.checkpoint(self._inputs, digest, state if is_whole else None)
        self._hashes += 1
        rows = len(self._state.windows) + len(self._state.processes) + len(self._state.handles)
        self._next_hash = self._inputs + HASH_EVERY * (1 + rows // ROWS_CHEAP)

    # --- trouble

    def _put_off(self, steps: list[KeptValues]) -> None:
        self._last = steps[-1]
        if self._lost_inputs is not None:
            self._lost_inputs += len(steps)
        else:
            self._backlog.extend(steps)
            if self._backlog.bytes > self._limits.journal_waiting_bytes:
                self._lose(len(self._backlog.steps))
        if self._journal is not None:
            inputs = len(self._backlog.steps) if self._lost_inputs is None else self._lost_inputs
            self._journal.mark.put_off(self._state.version, inputs, self._clock.last)

    def _lose(self, inputs: int) -> None:
        self._lost_inputs = inputs
        self._backlog.clear()

    def _fail(self, error: JournalError) -> None:
        """The journal cannot be written, and what it holds is read all the same; or it cannot be read, and history has
        let go of it.
        """
        if self._journal is not None:
            self._journal.mark.trouble(str(error))
        if self._trouble is None:
            log.error("the journal fails, and the launcher goes on without it for now: %s", error)
            self._trouble = str(error)
            is_new = self._loop.time() > self._worked_s + CALM_S
            self._retry_s = RETRY_S if is_new else min(self._retry_s * 2, RETRY_S_MAX)
            self._observe(JournalReported("failing"))
            self._try_later()
        if isinstance(error, JournalDamaged) and self._journal is not None:
            self._damaged, self._journal = self._journal, None
            self._history.journal = None
            self._damaged.close()
            self._lose(self._inputs)  # all of the run so far: it stays in the file that is set aside

    def _try_later(self) -> None:
        self._retry = self._loop.call_later(self._retry_s, self._try_again)

    def _try_again(self) -> None:
        """Who holds the file is not waited for, since nobody is served meanwhile."""
        if self._pending:  # before the state is kept, which has them behind it
            self._put_off(self._encoded())
        try:
            journal = self._opened_again()
            with journal.without_waiting():
                lost = self._catch_up(journal)
        except JournalError as error:
            self._retry_s = min(self._retry_s * 2, RETRY_S_MAX)
            log.warning("the journal still fails, next try in %g s: %s", self._retry_s, error)
            self._fail(error)
            self._try_later()
            return
        log.warning("the journal works again; %s", _lost_in_words(lost))
        self._trouble = None
        self._retry = None
        self._worked_s = self._loop.time()
        self._history.journal = self._journal
        self._observe(JournalReported("ok"))

    def _try_for_the_last_time(self) -> None:
        if self._pending:
            self._put_off(self._encoded())
        try:
            lost = self._catch_up(self._opened_again())
        except JournalError as error:
            kept = self._journal.newest if self._journal is not None else 0
            log.error("the journal fails to the end, and versions %d to %d are lost: %s",
                      kept + 1, self._state.version, error)  # fmt: skip
            if self._journal is not None and self._last is not None:
                self._journal.mark.end(self._last[:4])
        else:
            log.warning("the journal works again at the end; %s", _lost_in_words(lost))

    def _opened_again(self) -> Journal:
        if self._damaged is not None:
            aside = set_aside(self._damaged.path, f"{self._identity.run_id[:8]}-{self._inputs}")
            log.error("the damaged journal was set aside as %s, and a new one begins", aside)
            self._damaged = None
        if self._journal is None:
            self._journal = self._begun(self.rules, self.rules.journal)
        return self._journal

    def _catch_up(self, journal: Journal) -> int | None:
        """Keep what waited, or mark what was lost; how many inputs that is."""
        lost = self._lost_inputs
        if lost is not None:
            why = self._trouble or ""
            self._checkpoint(journal, Lost(self._state.version, lost, self._clock.last, why))
            self._lost_inputs = None
            self._lost_before += lost
            return lost
        if self._backlog.steps:
            self._append(journal, self._backlog.steps)
            self._backlog.clear()
        if self._inputs >= self._next_hash or journal.is_state_due:
            self._checkpoint(journal)
        return None

    def close(self) -> None:
        """Keep what still waits, if that can be done, else say what is lost; and let the file go."""
        if self._retry is not None:
            self._retry.cancel()
            self._observe = _to_nobody  # there are no turns any more
            self._try_for_the_last_time()
        if self._journal is not None:
            self._history.journal = None
            self._journal.close()


def _lost_in_words(inputs: int | None) -> str:
    return "nothing was lost" if inputs is None else f"{inputs} inputs were lost"


def _to_nobody(reported: JournalReported) -> None:
    """Where nobody is left to be told."""


class _UnixMs:
    """RFC 3339 texts of the engine's clock as Unix milliseconds; most share their second with the one before."""

    def __init__(self) -> None:
        self._now = ""
        self._text = ""
        self._second_ms = 0
        self.last = 0

    def of(self, now: str) -> int:
        if now == self._now:
            return self.last
        self._now = now
        if now[:19] != self._text:
            self._text = now[:19]
            self._second_ms = int(datetime.fromisoformat(self._text + "+00:00").timestamp()) * 1000
        self.last = self._second_ms + int(now[20:23])
        return self.last
