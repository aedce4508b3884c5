"""Rule, and what became of each: upheld, broken, or not applicable; `Ledger` keeps the count.

Rules:
- A rule is named by its section of the protocol and a word or two: `3.5/half-close`.
- Only what the protocol demands can fail; what it recommends becomes advice.
- A rule that nothing spoke of is not applicable, and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

Verdict = Literal["pass", "fail", "advice", "not applicable"]

SECTIONS: dict[str, str] = {
    "1": "Framing",
    "2": "Two kinds of event",
    "3": "Connection life",
    "4": "Commands",
    "5": "Stream events",
    "6": "Replies",
    "7": "Directives and shutdown",
    "8": "Slow readers",
    "9": "Endpoint and identity",
    "10": "Limits",
}


class Rule(Struct, frozen=True):
    """One sentence of the protocol. `section` is a number such as `3` or `3.5`; `demanded` False: recommended only."""

    section: str
    name: str
    text: str
    demanded: bool = True

    @property
    def key(self) -> str:
        """What names the rule: `3.5/half-close`."""
        return f"{self.section}/{self.name}"

    @property
    def chapter(self) -> str:
        """The section without what follows its dot."""
        return self.section.partition(".")[0]

    def is_in(self, wanted: Sequence[str]) -> bool:
        """Whether one of these names it: a section (`3`, `3.5`), or a key; none of them names everything."""
        return not wanted or any(name in {self.chapter, self.section, self.key} for name in wanted)


class Breach(Exception):
    """Raised where a rule is broken: what the protocol expects, and what came instead.

    `rule` is the broken one where that is not the rule under check.
    """

    def __init__(self, expected: str, got: str, rule: Rule | None = None) -> None:
        self.expected = expected
        self.got = got
        self.rule = rule
        super().__init__(f"expected {expected}; got {got}")


class NotApplicable(Exception):
    """Raised where a rule cannot be looked at here, and why."""


class Result(Struct, frozen=True, omit_defaults=True):
    """What became of one rule. `lines` are those that were sent and received before it broke, as a transcript."""

    rule: str
    section: str
    text: str
    verdict: Verdict
    times: int = 0
    why: str = ""
    expected: str = ""
    got: str = ""
    lines: tuple[str, ...] = ()


class _Account:
    """What is known of one rule so far."""

    def __init__(self) -> None:
        self.upheld = 0
        self.breach: tuple[Breach, tuple[str, ...]] | None = None
        self.why = ""


class Ledger:
    """The account of every rule."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def uphold(self, rule: Rule) -> None:
        """It was looked at, and held."""
        self._account(rule).upheld += 1

    def breach(self, rule: Rule, breach: Breach, lines: Iterable[str]) -> None:
        """It was broken; the first time is what is shown."""
        account = self._account(rule)
        if account.breach is None:
            account.breach = (breach, tuple(lines))

    def set_aside(self, rule: Rule, why: str) -> None:
        """It could not be looked at."""
        self._account(rule).why = why

    def is_broken(self, rule: Rule) -> bool:
        """Whether it was broken."""
        account = self._accounts.get(rule.key)
        return account is not None and account.breach is not None

    def results(self, rules: Iterable[Rule]) -> list[Result]:
        """What became of these rules, in their order."""
        return [self._result(rule) for rule in rules]

    def _account(self, rule: Rule) -> _Account:
        return self._accounts.setdefault(rule.key, _Account())

    def _result(self, rule: Rule) -> Result:
        account = self._accounts.get(rule.key) or _Account()
        if account.breach is not None:
            breach, lines = account.breach
            verdict: Verdict = "fail" if rule.demanded else "advice"
            return Result(
                rule.key, rule.section, rule.text, verdict, account.upheld, "", breach.expected, breach.got, lines
            )
        if account.upheld:
            return Result(rule.key, rule.section, rule.text, "pass", account.upheld)
        why = account.why or "nothing came that it speaks of"
        return Result(rule.key, rule.section, rule.text, "not applicable", why=why)
