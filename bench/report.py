"""What was measured, kept as JSON, and as tables: every figure by server, every ratio and every goal.

Rules: a figure is the median of its rounds; a ratio is the median of the rounds' own ratios, so that what slowed a
whole round cancels out; a figure whose load generator used more than 0.9 of a core is marked `(client-bound)`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any, Self

from bench.workloads import GOALS, LAUNCHER, PEERS, PROTOTYPE, WORKLOADS, Figure, Goal, Workload

CLIENT_BOUND = 0.9

Round = dict[str, Any] | None


@dataclass
class Machine:
    """Where, with what and how it was measured. `absent`: the servers that were not there, and why."""

    date: str
    cores: int
    processor: str
    system: str
    python: str
    rounds: int
    seconds: float
    settings: list[str]
    versions: dict[str, str]
    absent: dict[str, str]
    load: float  # processes that wanted a core, on average, when the run began
    took_s: int = 0


@dataclass
class Results:
    """Everything measured, by workload (its position in `workloads`) and server: one entry a round, None: failed."""

    workloads: list[Workload]
    machine: Machine
    rounds: dict[tuple[int, str], list[Round]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote. Raises: ValueError or KeyError, if anything else did."""
        kept = json.loads(text)
        measured = {(row["figure"], row["peer"]): row["rounds"] for row in kept["figures"]}
        keys = {figure for figure, _ in measured}
        workloads = [workload for workload in WORKLOADS if workload.figures[0].key in keys]
        positions = {workload.figures[0].key: position for position, workload in enumerate(workloads)}
        rounds = {(positions[figure], peer): found for (figure, peer), found in measured.items()}
        return cls(workloads, Machine(**kept["machine"]), rounds, kept["faults"])

    def to_json(self) -> str:
        rows = [
            {"figure": self.workloads[position].figures[0].key, "peer": peer, "rounds": rounds}
            for (position, peer), rounds in self.rounds.items()
        ]
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        machine, faults = json.dumps(asdict(self.machine), indent=1), json.dumps(self.faults)
        return f'{{"machine": {machine},\n "faults": {faults},\n "figures": [\n  {lines}\n]}}\n'

    def values(self, key: str, peer: str) -> list[float | None]:
        """A figure of one server, by round."""
        found = self._find(key)
        if found is None:
            return []
        position, figure = found
        rounds = self.rounds.get((position, peer), [])
        return [None if one is None or figure.member not in one else float(one[figure.member]) for one in rounds]

    def cpu(self, key: str, peer: str) -> float:
        """The load generator's share of a core."""
        found = self._find(key)
        rounds = self.rounds.get((found[0], peer), []) if found else []
        shares = [float(one.get("cpu", 0)) for one in rounds if one is not None]
        return median(shares) if shares else 0.0

    def served_us(self, key: str, peer: str) -> float | None:
        """The server's own processor time for each operation, in microseconds."""
        found = self._find(key)
        rounds = self.rounds.get((found[0], peer), []) if found else []
        times = [float(one["served_us"]) for one in rounds if one is not None and one.get("served_us")]
        return median(times) if times else None

    def figures(self) -> list[Figure]:
        return [figure for workload in self.workloads for figure in workload.figures]

    def measured_peers(self) -> list[str]:
        return [peer for peer in PEERS if any(one == peer for _, one in self.rounds)]

    def _find(self, key: str) -> tuple[int, Figure] | None:
        for position, workload in enumerate(self.workloads):
            for figure in workload.figures:
                if figure.key == key:
                    return position, figure
        return None


def render(results: Results) -> str:
    """The whole report as Markdown."""
    faults = [f"- {fault} ({times} x)" for fault, times in Counter(results.faults).items()]
    parts = [
        ["# Figures", "", *preface(results.machine)],
        ["", "## Medians", "", *_medians(results)],
        ["", f"## The load generator's share of a core (above {CLIENT_BOUND} it is the limit)", "", *_shares(results)],
        ["", "## The server's own processor time, us an operation", "", *served(results, results.measured_peers())],
        ["", f"## {LAUNCHER} to each peer", "", *_ratios(results)],
        ["", "## Goals", "", *goals(results)],
        *([["", "## Faults", "", *faults]] if faults else []),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def preface(machine: Machine) -> list[str]:
    """Where and how it was measured, as lines."""
    settings = ", ".join(machine.settings) or "none"
    rounds = f"Rounds: {machine.rounds}, of {machine.seconds} s a load, {machine.took_s} s in all."
    return [
        f"{machine.date}: {machine.cores} cores ({machine.processor}), {machine.system}, Python {machine.python}.",
        f"{rounds} Further settings of the launchers: {settings}.",
        f"Processes that wanted a core when it began: {machine.load:.1f} on average.",
        "",
        *(f"- {name}: {version}" for name, version in machine.versions.items()),
        *(f"- {name}: **not measured**: {why}" for name, why in machine.absent.items()),
    ]


def _medians(results: Results) -> list[str]:
    peers = results.measured_peers()
    rows = [[figure.words, *(cell(results, figure, peer) for peer in peers)] for figure in results.figures()]
    return table(["figure", *peers], rows)


def cell(results: Results, figure: Figure, peer: str) -> str:
    """The median of a server's rounds; "-" where it has no such notion or is absent."""
    values = results.values(figure.key, peer)
    good = [value for value in values if value is not None]
    if not good:
        return "failed" if values else "-"
    mark = " (client-bound)" if results.cpu(figure.key, peer) > CLIENT_BOUND else ""
    return _number(median(good), figure.digits) + mark


def _shares(results: Results) -> list[str]:
    peers = results.measured_peers()
    loads = [workload.figures[0] for workload in results.workloads if workload.kind == "load"]
    rows = [
        [figure.words, *(f"{results.cpu(figure.key, p):.2f}" if results.values(figure.key, p) else "-" for p in peers)]
        for figure in loads
    ]
    return table(["figure", *peers], rows)


def served(results: Results, peers: Sequence[str]) -> list[str]:
    """What each operation of a load cost the server itself, which hardly depends on what else the machine does."""
    rows = []
    for workload in results.workloads:
        figure = workload.figures[0]
        times = [results.served_us(figure.key, peer) for peer in peers]
        if any(times):
            words = figure.words.removesuffix(", p50 us").removesuffix(", deliveries/s")
            rows.append([words, *("-" if time is None else _number(time, 2 if time < 100 else 0) for time in times)])
    return table(["", *peers], rows) if rows else ["Nothing was measured."]


def _ratios(results: Results) -> list[str]:
    peers = [peer for peer in results.measured_peers() if peer != LAUNCHER]
    rows = []
    for figure in results.figures():
        ratios = [_ratio(results, figure.key, peer, figure.key) for peer in peers]
        if any(ratio is not None for ratio in ratios):
            better = "less" if figure.less_is_better else "more"
            rows.append([figure.words, better, *("-" if ratio is None else f"{ratio:.2f} x" for ratio in ratios)])
    return table(["figure", "better", *peers], rows) if rows else [f"{LAUNCHER} was not measured."]


def goals(results: Results) -> list[str]:
    """Every goal that could be judged, with what was measured, of the launcher and of its prototype."""
    rows = [row for goal in GOALS if (row := _goal(results, goal)) is not None]
    return table(["goal", "measured", "", "the prototype"], rows) if rows else ["None could be judged."]


def _goal(results: Results, goal: Goal) -> list[str] | None:
    found = _judged(results, goal)
    if found is None:
        return None
    measured, is_met = found
    missed = "not met (a wish)" if goal.stretch else "**not met**"
    other = _judged(results, _of_prototype(goal))
    prototype = "-" if other is None else f"{other[0]}, {'met' if other[1] else 'not met'}"
    figure = next(one for one in results.figures() if one.key == goal.figure)
    return [f"{goal.server}, {figure.words}: {_bound(goal)}", measured, "met" if is_met else missed, prototype]


def _of_prototype(goal: Goal) -> Goal:
    """The same asked of the server that does no more than it must."""
    return replace(goal, server=PROTOTYPE[goal.server], peer=PROTOTYPE.get(goal.peer, goal.peer))


def _judged(results: Results, goal: Goal) -> tuple[str, bool] | None:
    """What was measured, as a ratio where there is one, and whether that is what is asked for; None: it was not."""
    own = results.values(goal.figure, goal.server)
    of = goal.of or goal.figure
    reference = results.values(of, goal.peer) if goal.peer else [0.0] * len(own)
    shares = [
        value / (goal.factor * other + goal.plus)
        for value, other in zip(own, reference, strict=False)
        if value is not None and other is not None
    ]
    if not shares:
        return None
    is_met = median(shares) >= 1 if goal.at_least else median(shares) <= 1
    ratio = _ratio(results, goal.figure, goal.peer, of, goal.server)
    figure = next(one for one in results.figures() if one.key == goal.figure)
    value = _number(median(one for one in own if one is not None), figure.digits)
    return value if ratio is None else f"{ratio:.2f} x ({value})", is_met


def _bound(goal: Goal) -> str:
    bound = f"{goal.factor:g} x {goal.of or goal.peer}" if goal.peer else ""
    plus = f"{goal.plus:g}" if goal.plus else ""
    limit = " + ".join(filter(None, (bound, plus)))
    note = f" ({goal.note})" if goal.note else ""
    return f"at {'least' if goal.at_least else 'most'} {limit}{note}"


def _ratio(results: Results, key: str, peer: str, peer_key: str, server: str = LAUNCHER) -> float | None:
    pairs = zip(results.values(key, server), results.values(peer_key, peer), strict=False)
    ratios = [own / other for own, other in pairs if own is not None and other]
    return median(ratios) if ratios else None


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace(",", " ")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return [_row(head, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"] + [
        _row(row, widths) for row in rows
    ]


def _row(cells: list[str], widths: list[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
