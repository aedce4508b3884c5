"""Ages: how old steps are, by a clock that may be set at any time to anything.

A step of this run is as old as the clock that nobody sets says. One of an earlier run is so by the time of day; but
nothing is to be deleted because that was wrong for a while. So each run is read by the clock as it was set last in it;
a time that was set ahead counts from the next run on; and what passed between two runs, of which only the time of day
tells, is believed up to a tenth of the age allowed, and a day more for each hour that was run since.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

from quarterdeck.log.reader import JournalReader, Run, Setting

BELIEVED_SHARE: Final = 10
BELIEVED_RATE: Final = 24


class Ages:
    """Says which steps are older than `age_ms`."""

    def __init__(self, reader: JournalReader, age_ms: int) -> None:
        self._reader = reader
        self._age_ms = age_ms
        self._shifts: dict[int, _Shifts] = {}
        self._run = 0
        self._began_ms = 0
        self._lowest_ms = 0
        self._known: _Past | None = None

    def begin(self, run: int, ran_ms: int, offset_ms: int) -> None:
        """This launcher's run begins at `ran_ms` by the clock that nobody sets; the time of day is `offset_ms` more."""
        self._run = run
        self._shifts = {run: _Shifts([])}
        self._began_ms = ran_ms
        self._lowest_ms = offset_ms
        self._known = None

    def was_set(self, setting: Setting, offset_ms: int) -> None:
        """In this run the time of day was set, and is that much more than what nobody sets from now on."""
        self._shifts[self._run].add(setting)
        self._lowest_ms = min(self._lowest_ms, offset_ms)

    def is_old(self, run: int, step: int, at_ms: int, now_ms: int, ran_ms: int) -> bool:
        """Whether a step is too old; `now_ms` and `ran_ms` are of the newest one."""
        is_own = run == self._run
        true_ms = at_ms + self._shifts_of(run).after(step)
        if not is_own and true_ms > now_ms:  # its clock was wrong, as others say that came later
            true_ms = self._past().latest_ms[run]
        if true_ms >= now_ms - self._age_ms:
            return False
        return is_own or true_ms < self._believed_ms(ran_ms) - self._age_ms

    def _shifts_of(self, run: int) -> _Shifts:
        if run not in self._shifts:
            self._shifts[run] = _Shifts(self._reader.settings(run))
        return self._shifts[run]

    def _believed_ms(self, ran_ms: int) -> int:
        """The time of day, as far as it is believed to be past what earlier runs say."""
        between_ms = self._between_ms(ran_ms - self._began_ms)
        return min(self._lowest_ms + ran_ms, self._past().end_ms + between_ms)

    def _between_ms(self, lasted_ms: int) -> int:
        """How much between two ends of runs is believed, if the later run lasted so long."""
        return self._age_ms // BELIEVED_SHARE + BELIEVED_RATE * lasted_ms

    def _past(self) -> _Past:
        """What the earlier runs say; asked where something seems to be old, which is seldom."""
        if self._known is None:
            runs = [run for run in self._reader.runs() if run.run < self._run and run.last_step >= run.oldest_step]
            latest_ms, limit_ms = {}, self._lowest_ms + self._began_ms
            for run in reversed(runs):
                latest_ms[run.run] = limit_ms
                limit_ms = min(limit_ms, self._begin(run))
            end_ms: int | None = None
            for run in runs:
                own_ms = self._reader.time_of(run.last_step)
                between_ms = self._between_ms(max(0, own_ms - self._begin(run)))
                end_ms = own_ms if end_ms is None else min(own_ms, end_ms + between_ms)
            self._known = _Past(latest_ms, 0 if end_ms is None else end_ms)
        return self._known

    def _begin(self, run: Run) -> int:
        """When a run began, by the clock as it was set last in it."""
        return run.began_ms + self._shifts_of(run.run).total


class _Past(NamedTuple):
    """Of earlier runs: what none of the steps can be later than, by run, and when the last one ended."""

    latest_ms: dict[int, int]
    end_ms: int


class _Shifts:
    """By how much the time of day was set in one run."""

    def __init__(self, settings: list[Setting]) -> None:
        self._steps: list[int] = []
        self._sums = [0]
        for setting in settings:
            self.add(setting)

    def add(self, setting: Setting) -> None:
        self._steps.append(setting.step)
        self._sums.append(self._sums[-1] + setting.by_ms)

    @property
    def total(self) -> int:
        return self._sums[-1]

    def after(self, step: int) -> int:
        """By how much in all, later than a step."""
        return self._sums[-1] - self._sums[bisect_left(self._steps, step)]
