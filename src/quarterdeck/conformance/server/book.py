"""Book: the checks of one file, each a function whose name is the rule's and whose docstring is the rule's text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from quarterdeck.conformance.rules import Rule
from quarterdeck.conformance.server.stage import Stage

Play = Callable[[Stage], None]


class Needs(Struct, frozen=True):
    """What a check asks of the launcher it is played on.

    `consent`: it does to a launcher what nobody should do to one that is in use (quit, crowds, playing its host).
    `own`: a launcher that we start ourselves, whose process and files can be looked at. Our own ones are started with
    `settings` and `deck` (a quarterdeck.toml), and `fresh` for this check alone; `ends`: the check ends it.
    """

    consent: bool = False
    own: bool = False
    settings: tuple[str, ...] = ()
    deck: str = ""
    fresh: bool = False
    ends: bool = False


ANY_LAUNCHER = Needs()
CONSENT = Needs(consent=True)
OWN = Needs(own=True)
FRESH = Needs(own=True, fresh=True)


def with_settings(*settings: str) -> Needs:
    """A launcher of ours that was started with these."""
    return Needs(own=True, settings=settings)


class Check(Struct, frozen=True):
    """A rule, what finds out whether it holds, and what that needs."""

    rule: Rule
    play: Play
    needs: Needs


class Book:
    """Checks in the order in which they stand in their file."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks)

    def check(self, section: str, needs: Needs = ANY_LAUNCHER) -> Callable[[Play], Play]:
        """Enter the function below as the check of a rule of this section."""

        def enter(play: Any) -> Play:
            text = " ".join((inspect.getdoc(play) or "").split())
            self.add(Rule(section, play.__name__.replace("_", "-"), text), play, needs)
            return play  # type: ignore[no-any-return]  # what came in

        return enter

    def add(self, rule: Rule, play: Play, needs: Needs = ANY_LAUNCHER) -> None:
        """Enter a check that was made from a table."""
        self._checks.append(Check(rule, play, needs))
