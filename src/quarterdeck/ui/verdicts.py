"""What became of each rule of the protocol, for people: what `conform` shows.

Rules: a rule a line, by section; of one that broke also what was expected, what came, and the lines before it as they
went over the wire; of one that could not be looked at, why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from quarterdeck.conformance.rules import SECTIONS, Result, Rule
from quarterdeck.ui.text import cut

if TYPE_CHECKING:
    from quarterdeck.ui.screen import Screen

WORDS: Final = {"pass": "ok    ", "fail": "FAIL  ", "advice": "advice", "not applicable": "n/a   "}
STYLES: Final = {"pass": "green", "fail": "red", "advice": "yellow", "not applicable": "bright_black"}
LINES_SHOWN: Final = 12
"""Of a transcript; `--json` has all that was kept."""
LINE_CHARACTERS_MAX: Final = 400


def show_rules(screen: Screen, rules: Iterable[Rule]) -> None:
    """What there is to check, by section."""
    chapter = ""
    for rule in rules:
        chapter = _heading(screen, rule.section, chapter)
        screen.line(f"  {rule.key}  {rule.text}{'' if rule.demanded else ' (recommended)'}")


def show_results(screen: Screen, results: Sequence[Result]) -> None:
    """What became of each, and how many there were."""
    chapter = ""
    for result in results:
        chapter = _heading(screen, result.section, chapter)
        screen.line(f"  {WORDS[result.verdict]}  {result.rule}  {result.text}", STYLES[result.verdict])
        if result.verdict == "not applicable":
            screen.line(f"          {result.why}", STYLES[result.verdict])
        elif result.verdict != "pass":
            _show_breach(screen, result)
    screen.line(summary(results), "bold")


def summary(results: Sequence[Result]) -> str:
    """The counts, in one line."""
    count = Counter(result.verdict for result in results)
    advice = f", {count['advice']} against advice" if count["advice"] else ""
    return (
        f"{len(results)} rules: {count['pass']} upheld, {count['fail']} broken{advice}, "
        f"{count['not applicable']} not applicable"
    )


def _show_breach(screen: Screen, result: Result) -> None:
    screen.line(f"          expected: {result.expected}")
    screen.line(f"          came:     {result.got}")
    for line in result.lines[-LINES_SHOWN:]:
        screen.line(f"            {cut(line, LINE_CHARACTERS_MAX)}")


def _heading(screen: Screen, section: str, before: str) -> str:
    chapter = section.partition(".")[0]
    if chapter != before:
        screen.line(f"{chapter} {SECTIONS[chapter]}", "bold")
    return chapter
