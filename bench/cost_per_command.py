"""What a command costs in the reducer, however many windows or process records there are (design, performance: flat
within 1.3 x).

    python -m bench.cost_per_command [--rounds N] [--largest N] [--json FILE]

Each line is one workload; each column a size; the figure is microseconds of processor time an input, the median of the
rounds, and behind it the ratio to the smallest size. Sizes take turns within a round, so that a busy machine is as
unkind to all of them. Where windows are touched, ten are by default, so that the rules are measured and not the
processor's caches; `_all_over` touches all, and shows what the caches cost. Nothing is asserted: a shared machine's
times prove nothing by themselves, ratios of one run do.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns, process_time_ns

from msgspec import Raw

from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context, Input, Source, SyntheticGoodbye, Tick
from quarterdeck.schema import commands as c
from quarterdeck.schema.types import ProcessKind, Rect

WINDOWS = (10, 1_000, 100_000)
PROCESSES = (10, 100, 1_000, 10_000)
BATCH = 2_000
NO_HWND_MS = 5_000
GOAL = 1.3
MANY = 1_000_000
RULES = Rules(
    exited_processes_max=MANY,
    windows_max=MANY,
    pool_max=MANY,
    pending_handles_max=MANY,
    closed_handles_max=1_024,
    promotions_max=MANY,
    backend_ids_max=MANY,
)
SCREENS = (Rect(0, 0, 1920, 1080), Rect(1920, 0, 3840, 1080))
RECTS = (Rect(10, 10, 500, 500), Rect(20, 20, 510, 510))

Workload = Callable[["World"], int]
"""Does a batch and gives its nanoseconds an input."""


class World:
    """A state of some size, with a host and a clock."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.state = State(RULES)
        self.now_ms = 0
        self.draw = random.Random(size)
        self.ten = self.draw.sample(range(size), 10)
        self.made = 0  # a number for what is new
        self.feed(_register("host", 1), 1)

    def feed(self, value: Input, pid: int | None = 1) -> None:
        source: Source = "clock" if isinstance(value, Tick) else "client"
        reduce(self.state, value, Context("now", self.now_ms, source, 1, pid, None, 0))

    def timed(self, inputs: Sequence[tuple[Input, int]]) -> int:
        """Nanoseconds an input, contexts not counted."""
        context = {pid: Context("now", self.now_ms, "client", 1, pid, None, 0) for _, pid in inputs}
        planned = [(value, context[pid]) for value, pid in inputs]
        state = self.state
        begun = process_time_ns()
        for value, ctx in planned:
            reduce(state, value, ctx)
        return (process_time_ns() - begun) // len(planned)

    def some(self) -> Iterator[int]:
        """A batch of numbers below the size: ten of them, again and again."""
        return (self.ten[at % 10] for at in range(BATCH))

    def all_over(self) -> Iterator[int]:
        """A batch of numbers below the size."""
        return (self.draw.randrange(self.size) for _ in range(BATCH))

    def new(self) -> Iterator[int]:
        """A batch of numbers never given before."""
        self.made += BATCH
        return iter(range(MANY + self.made, MANY + self.made + BATCH))


def with_windows(size: int) -> World:
    """Windows with a handle each, all deadlines decided."""
    world = World(size)
    world.feed(c.ReportMonitorTopologyChanged(rects=SCREENS))
    for number in range(size):
        world.feed(_open(number))
        world.feed(_hwnd(number, f"w{number}"))
        world.feed(c.ReportHwndVisibilityChanged(hwnd=number, visible=True))
    world.now_ms += NO_HWND_MS
    world.feed(Tick())
    return world


def with_deadlines(size: int) -> World:
    """Windows without a handle, each with a deadline of its own millisecond."""
    world = World(size)
    for number in range(size):
        world.now_ms += 1
        world.feed(_open(number))
    return world


def with_pending(size: int) -> World:
    """Handles that wait without a hint, too old to be guessed."""
    world = World(size)
    for number in range(size):
        world.feed(_hwnd(number, None))
    world.now_ms += 10_000
    world.feed(Tick())
    return world


def with_live(size: int) -> World:
    """Live processes."""
    world = World(size)
    for pid in range(2, size + 1):
        world.feed(_register("tool", pid), pid)
    return world


def with_exited(size: int) -> World:
    """Exited records, as many as are kept."""
    world = World(size)
    world.state.rules = Rules(exited_processes_max=size)
    for pid in range(2, size + 2):
        world.feed(_register("tool", pid), pid)
        world.feed(c.Goodbye(), pid)
    return world


# --- what is fed


def _register(kind: ProcessKind, pid: int) -> c.Register:
    return c.Register(kind=kind, pid=pid, version="1")


def _open(number: int) -> c.ReportWindowOpened:
    return c.ReportWindowOpened(label=f"w{number}", kind="full_instance", parent_label=None)


def _close(number: int) -> c.ReportWindowClosed:
    return c.ReportWindowClosed(label=f"w{number}")


def _hwnd(number: int, hint: str | None) -> c.ReportHwndOpened:
    return c.ReportHwndOpened(hwnd=number, class_name="", title="", label_hint=hint)


def _moved(number: int, times: int) -> c.ReportHwndPositionChanged:
    return c.ReportHwndPositionChanged(hwnd=number, rect=RECTS[times % 2])


def window_opened_closed(world: World) -> int:
    return world.timed([(value, 1) for number in world.new() for value in (_open(number), _close(number))])


def window_opened_again(world: World) -> int:
    return world.timed([(_open(number), 1) for number in world.some()])


def handle_linked_died(world: World) -> int:
    return world.timed(
        [
            (value, 1)
            for number in world.new()
            for value in (_open(number), _hwnd(number, f"w{number}"), c.ReportHwndDestroyed(hwnd=number))
        ]
    )


def handle_waited_died(world: World) -> int:
    return world.timed(
        [(value, 1) for number in world.new() for value in (_hwnd(number, None), c.ReportHwndDestroyed(hwnd=number))]
    )


def handle_again(world: World) -> int:
    return world.timed([(_hwnd(number, f"w{number}"), 1) for number in world.some()])


def handle_moved(world: World) -> int:
    return world.timed([(_moved(number, at // 10), 1) for at, number in enumerate(world.some())])


def handle_moved_all_over(world: World) -> int:
    return world.timed([(_moved(number, at), 1) for at, number in enumerate(world.all_over())])


def handle_shown_hidden(world: World) -> int:
    return world.timed(
        [
            (c.ReportHwndVisibilityChanged(hwnd=number, visible=visible), 1)
            for number in world.some()
            for visible in (False, True)
        ]
    )


def pool_added_promoted(world: World) -> int:
    return world.timed(
        [
            (value, 1)
            for number in world.new()
            for value in (
                c.ReportPoolWindowAdded(label=f"w{number}"),
                c.ReportPoolWindowPromoted(label=f"w{number}"),
                _open(number),
                _close(number),
            )
        ]
    )


def published(world: World) -> int:
    # As the wire hands it over: the payload encoded.
    return world.timed([(c.Publish(topic="t", payload=Raw(b"1")), 1) for _ in range(BATCH)])


def counted(world: World) -> int:
    return world.timed([(c.ReportHostCounts(windows=0, pool=0), 1) for _ in range(BATCH)])


def ticked(world: World) -> int:
    """Ticks with one due each; what was decided is closed, and opened anew with a deadline behind all others. Each is
    timed alone, and the median is taken.
    """
    spent = []
    first = world.made % world.size
    for at in range(BATCH):
        number = (first + at) % world.size
        due_ms = world.state.deadlines.nearest()
        assert due_ms is not None
        world.now_ms = due_ms
        ctx = Context("now", due_ms, "clock", None, None, None, 0)
        begun = perf_counter_ns()
        reduce(world.state, Tick(), ctx)
        spent.append(perf_counter_ns() - begun)
        world.feed(_close(number))
        world.now_ms = max(due_ms, due_ms - NO_HWND_MS + world.size)
        world.feed(_open(number))
    world.made = (first + BATCH) % world.size
    return int(statistics.median(spent))


def deadline_moved(world: World) -> int:
    """A window opened again moves its deadline later; and the nearest is asked for, as after every turn."""
    inputs = [_open(number) for number in world.some()]
    ctx = Context("now", world.now_ms, "client", 1, 1, None, 0)
    begun = process_time_ns()
    for value in inputs:
        reduce(world.state, value, ctx)
        world.state.deadlines.nearest()
    return (process_time_ns() - begun) // BATCH


def guessed_in_vain(world: World) -> int:
    """All but the oldest handle have left; the oldest is too old to be a guess."""
    for number in range(1, world.size):
        world.feed(c.ReportHwndDestroyed(hwnd=number))
    spent = window_opened_closed(world)
    for number in range(1, world.size):
        world.feed(_hwnd(number, None))
    world.now_ms += 10_000
    world.feed(Tick())
    return spent


def registered_left(world: World) -> int:
    return world.timed(
        [(value, number) for number in world.new() for value in (_register("tool", number), c.Goodbye())]
    )


def registered_vanished(world: World) -> int:
    gone = SyntheticGoodbye("disconnected")
    return world.timed([(value, number) for number in world.new() for value in (_register("tool", number), gone)])


def host_came_and_went_among_orphans(world: World) -> int:
    """A host without a window of its own, while others' windows are orphaned: two events and nothing to list."""
    if world.state.host_pid == 1:
        world.feed(SyntheticGoodbye("disconnected"))
    gone = SyntheticGoodbye("disconnected")
    return world.timed([(value, pid) for pid in range(2, 12) for value in (_register("host", pid), gone)])


SECTIONS: tuple[tuple[str, Sequence[int], Callable[[int], World], tuple[Workload, ...]], ...] = (
    (
        "windows",
        WINDOWS,
        with_windows,
        (
            window_opened_closed,
            window_opened_again,
            handle_linked_died,
            handle_waited_died,
            handle_again,
            handle_moved,
            handle_moved_all_over,
            handle_shown_hidden,
            pool_added_promoted,
            counted,
            published,
            registered_left,
        ),
    ),
    ("deadlines", WINDOWS, with_deadlines, (ticked, deadline_moved)),
    ("pending handles", WINDOWS, with_pending, (handle_waited_died, guessed_in_vain)),
    ("live processes", PROCESSES, with_live, (registered_left, registered_vanished, published)),
    ("exited records", PROCESSES, with_exited, (registered_left, registered_vanished)),
    ("orphaned windows", WINDOWS, with_windows, (host_came_and_went_among_orphans,)),
)


def measure(sizes: Sequence[int], make: Callable[[int], World], workload: Workload, rounds: int) -> list[float]:
    """Microseconds an input for each size, the median of the rounds."""
    worlds = [make(size) for size in sizes]
    found: list[list[int]] = [[] for _ in worlds]
    for _ in range(rounds + 1):  # the first warms up
        for world, times in zip(worlds, found, strict=True):
            times.append(workload(world))
    return [statistics.median(times[1:]) / 1000 for times in found]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What a command costs in the reducer, at several sizes of its state.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--largest", type=int, default=100_000, help="leave out larger sizes")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args(arguments)
    rows: list[dict[str, object]] = []
    for name, sizes, make, workloads in SECTIONS:
        kept = [size for size in sizes if size <= options.largest]
        print(f"\n{name:<34}" + "".join(f"{size:>16,}" for size in kept))
        for workload in workloads:
            times = measure(kept, make, workload, options.rounds)
            ratios = [time / times[0] for time in times]
            cells = (f"{time:8.2f} us {ratio:4.2f}" for time, ratio in zip(times, ratios, strict=True))
            mark = "" if max(ratios) <= GOAL else f"   above {GOAL}"
            print(f"  {workload.__name__:<32}" + "".join(f"{cell:>16}" for cell in cells) + mark, flush=True)
            rows.append({"by": name, "workload": workload.__name__, "sizes": kept, "us": times, "ratios": ratios})
    figures = {"python": sys.version.split()[0], "rounds": options.rounds, "goal": GOAL, "rows": rows}
    if options.json is None:
        print("\n" + json.dumps(figures))
    else:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
