"""Running: every check of a launcher, in the order of the sections, and what became of each rule.

Rules:
- Without an address we start launchers of our own, one a set of settings.
- On somebody else's launcher only what any client may do is done, unless there is consent; what ends it comes last.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from quarterdeck.conformance.rules import Breach, Ledger, NotApplicable, Result, Rule
from quarterdeck.conformance.server.book import Check
from quarterdeck.conformance.server.hearing import EVERY_LINE
from quarterdeck.conformance.server.launchers import Launchers, NotStarted, OwnLauncher
from quarterdeck.conformance.server.rules import (
    commands,
    directives,
    events,
    framing,
    identity,
    kinds,
    life,
    limits,
    readers,
    replies,
)
from quarterdeck.conformance.server.stage import Stage
from quarterdeck.errors import QuarterdeckError

BOOKS: Final = (framing, kinds, life, commands, events, replies, directives, readers, identity, limits)
CHECKS: Final[tuple[Check, ...]] = tuple(check for book in BOOKS for check in book.RULES)


def _place(rule: Rule) -> tuple[int, ...]:
    return tuple(map(int, rule.section.split(".")))


RULES: Final[tuple[Rule, ...]] = tuple(sorted((*EVERY_LINE, *(check.rule for check in CHECKS)), key=_place))
"""Every rule of a launcher, by section."""


class Target(Struct, frozen=True):
    """What is checked: the launcher at `endpoint`, or those that we start. `consent` to whatever the checks may do to
    it; `patience_s` is how long a line is awaited.
    """

    endpoint: str | None = None
    consent: bool = False
    patience_s: float = 10.0


def check_launcher(
    target: Target, only: Sequence[str] = (), *, begin: Callable[[Rule], None] = lambda _: None
) -> list[Result]:
    """What became of each rule; `only` names sections or rules, none means all. `begin` hears of each check.

    A rule that was broken is among the results even if it was not asked for. Raises: NoLauncher, EndpointRefused where
    there is nobody to check.
    """
    ledger = Ledger()
    launchers = Launchers()
    try:
        if target.endpoint is not None:
            Stage(target.endpoint, None, ledger, target.patience_s).try_out()
        for check in _in_order(target, _asked_for(only)):
            begin(check.rule)
            _play(check, target, launchers, ledger)
    finally:
        launchers.close()
    return ledger.results(rule for rule in RULES if rule.is_in(only) or (rule.demanded and ledger.is_broken(rule)))


def _asked_for(only: Sequence[str]) -> list[Check]:
    """The checks of these rules; of a rule that is looked at on every line, all checks of its section."""
    sections = {rule.section for rule in EVERY_LINE if rule.key in only}
    return [check for check in CHECKS if check.rule.is_in(only) or check.rule.section in sections]


def _in_order(target: Target, checks: Iterable[Check]) -> list[Check]:
    """As they stand; on a launcher that is not ours, what ends it last."""
    return sorted(checks, key=lambda check: check.needs.ends and target.endpoint is not None)


def _play(check: Check, target: Target, launchers: Launchers, ledger: Ledger) -> None:
    needs = check.needs
    if target.endpoint is not None:
        if needs.own:
            ledger.set_aside(check.rule, "it needs a launcher that is started for it: leave out --endpoint")
        elif needs.consent and not target.consent:
            ledger.set_aside(check.rule, "nobody does that to a launcher that is in use: --destructive consents")
        else:
            _judge(check, Stage(target.endpoint, None, ledger, target.patience_s), ledger)
        return
    try:
        launcher = OwnLauncher(needs.settings, needs.deck) if needs.fresh else launchers.get(needs.settings, needs.deck)
    except NotStarted as error:
        ledger.breach(check.rule, Breach("a launcher that starts", str(error)), ())
        return
    try:
        _judge(check, Stage(launcher.endpoint, launcher, ledger, target.patience_s), ledger)
    finally:
        if needs.fresh:
            launcher.close()


def _judge(check: Check, stage: Stage, ledger: Ledger) -> None:
    """Play a check, and enter what became of its rule."""
    try:
        check.play(stage)
    except NotApplicable as reason:
        ledger.set_aside(check.rule, str(reason))
    except Breach as breach:
        ledger.breach(breach.rule or check.rule, breach, stage.evidence())
        if breach.rule is not None:
            ledger.set_aside(check.rule, f"broken off, for {breach.rule.key} is broken")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        missing = Breach("lines with the members of the protocol's tables", f"{type(error).__name__}: {error}")
        ledger.breach(check.rule, missing, stage.evidence())
    except (QuarterdeckError, TimeoutError, subprocess.TimeoutExpired, OSError) as error:
        ledger.breach(check.rule, Breach("a launcher that goes on", str(error)), stage.evidence())
    else:
        ledger.uphold(check.rule)
    finally:
        stage.close()
