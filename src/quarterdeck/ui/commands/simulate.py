"""quarterdeck simulate: play simulated worlds, and hold what they were told against what the protocol promises.

Rules: one seed gives the same world again, with the same digest, on any machine. A world that breaks a promise is shown
with what led to it and the command that plays it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as count_up
from time import monotonic
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Command, json_option
from quarterdeck.ui.exits import Exit
from quarterdeck.ui.screen import Screen, standard_output

if TYPE_CHECKING:
    from quarterdeck.sim import Outcome

EXAMPLES = (
    ("quarterdeck simulate --seed 7", "One world, the same each time."),
    ("quarterdeck simulate --seed 100 --count 50", "The worlds of seeds 100 to 149."),
    ("quarterdeck simulate --for 600", "As many worlds as ten minutes hold."),
)


@click.command("simulate", cls=Command, examples=EXAMPLES)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The first world.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="How many worlds. [default: 1]")
@click.option("--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Begin no world after so long.")
@click.option(
    "--trouble",
    "trouble_s",
    type=click.FloatRange(min=1, max=86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long, in a world's own time, everything goes wrong.",
)
@json_option
def command(seed: int, count: int | None, seconds: float | None, trouble_s: float, as_json: bool) -> int:
    """Play a launcher's life in a simulated world: the real reducer, engine, journal and clients, on a virtual clock.

    Connections break, readers stall, children die, the disk fills up, the launcher is killed in the middle of anything.
    Then all of it is held against the promises: each event once, in order, or told as missed; one exit for each
    registration; a snapshot is the fold; what was told was kept before; a replay gives it again.

    Exit codes: 0 every promise held, 1 one did not.
    """
    from quarterdeck.sim import simulate

    screen = standard_output()
    code = Exit.DONE
    for each in _seeds(seed, count, seconds):
        outcome = simulate(each, trouble_s=trouble_s)
        _show(screen, outcome, trouble_s, as_json=as_json)
        if outcome.violation is not None:
            code = Exit.FAILED
    return code


def _seeds(first: int, count: int | None, seconds: float | None) -> Iterator[int]:
    """The seeds to play: so many, or as long as there is time."""
    deadline = None if seconds is None else monotonic() + seconds
    last = first + (1 if count is None and seconds is None else count or 2**63)
    for seed in count_up(first):
        if seed >= last or (deadline is not None and monotonic() >= deadline):
            return
        yield seed


def _show(screen: Screen, outcome: Outcome, trouble_s: float, *, as_json: bool) -> None:
    if as_json:
        import msgspec

        screen.raw(msgspec.json.encode(outcome))
        return
    held = "held" if outcome.violation is None else "BROKEN"
    screen.line(
        f"seed {outcome.seed}: {held}; {outcome.runs} runs, {outcome.inputs} inputs kept, {outcome.events} events told,"
        f" {outcome.virtual_s:.0f} s of its own time; {outcome.digest[:16]}",
        "green" if outcome.violation is None else "red",
    )
    if outcome.violation is not None:
        for line in (*outcome.trace, outcome.violation):
            for part in line.splitlines():
                screen.line(f"  {part}")
        option = "" if trouble_s == 60.0 else f" --trouble {trouble_s:g}"
        screen.line(f"  play it again: quarterdeck simulate --seed {outcome.seed}{option}")
