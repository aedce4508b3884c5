"""What the journal costs: events kept a second against C and a plain file, and how quick a long one answers.

    python bench/journal.py [--rounds 5] [--events 1000000] [--quick] [--folder DIR]

Rules: every way of keeping writes the same bytes to the same disk (`--folder`, default: beside this file, since /tmp
may be memory); the ways take turns in each round; what is printed is the median and its ratio to SQLite driven from C.
`appended` is like for like; the others are a command's whole way from the reducer to the disk. Ours also moves the
write-ahead log into the database meanwhile, which the program in C never does. What pings and fan-out cost with the
journal on: `bench/run.py` with `--set journal=off`, `normal` and `full`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Raw

from quarterdeck.config import Limits
from quarterdeck.core.bursts import publish_all, sender_of_burst
from quarterdeck.core.reducer import reduce
from quarterdeck.core.state import Rules, State
from quarterdeck.core.step import Context
from quarterdeck.log.journal import Journal, Retention
from quarterdeck.schema.commands import Publish, Register
from quarterdeck.server.bursts import BURST_MIN
from quarterdeck.server.ports import Identity
from quarterdeck.server.recorded import encode
from quarterdeck.server.recording import Recording
from quarterdeck.server.stepping import take_step
from quarterdeck.wire.codec import encode_line, encode_lines

BENCH = Path(__file__).resolve().parent
GROUP = 100
FOREVER = Retention(1 << 40, 10**15)
NOW = "2030-01-01T00:00:00.000Z"
CTX = Context(NOW, 1, "client", 1, 5, 1234567, 11611691479005732218)
INPUT = Publish(topic="t", payload=Raw(b'{"job":1234,"done":true}'))


def main() -> int:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="journal-") as name:
        folder = Path(name)
        _throughput(folder, options.rounds, quick=options.quick)
        _long_journal(folder, options.events)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the journal costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="shows that it works, measures nothing")
    parser.add_argument("--folder", default=str(BENCH))
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.events = 1, 20_000
    return options


# --- events a second


class Kept:
    """A recording on a fresh file, and a state whose client publishes."""

    def __init__(self, path: Path, sync: str) -> None:
        identity = Identity(1, "bench", f"{path.name}")
        opens: Callable[[], Journal] = lambda: Journal.open(path, sync, FOREVER, lambda: "x")  # type: ignore[arg-type]  # noqa: E731  # one of two texts
        self.recording = Recording(opens, identity, Rules(), Limits(), NOW)
        self.state = State(self.recording.rules)
        self.recording._state = self.state  # no history and no loop are needed to write
        self.feed(Register(kind="tool", pid=5, version="1"))

    def feed(self, value: Publish | Register = INPUT) -> None:
        step, lines = take_step(self.state, value, CTX)
        self.recording.record(value, CTX, lines, step)

    def burst(self, count: int) -> None:
        """So many publishes that wait in a row, as the launcher takes them."""
        sender = sender_of_burst(self.state, CTX.pid)
        assert sender is not None
        values = [INPUT] * count
        lines = encode_lines(publish_all(self.state, values, sender)).splitlines(keepends=True)
        self.recording.record_burst(values, [CTX] * count, lines)


def reduced_and_journalled(sync: str, group: int) -> Callable[[Path, int], float]:
    """Publishes through the reducer onto the disk, one or a burst of so many a commit: measures events a second."""

    def measure(path: Path, events: int) -> float:
        kept = Kept(path, sync)
        began = time.perf_counter()
        for _ in range(events // group):
            if group < BURST_MIN:
                kept.feed()
            else:
                kept.burst(group)
            kept.recording.commit()
        took = time.perf_counter() - began
        journal = kept.recording._journal
        assert journal is not None
        journal.close()
        return events // group * group / took

    return measure


def appended(path: Path, events: int) -> float:
    """What is encoded already, as the program in C has it, with our checksums: measures events a second."""
    kept = Kept(path, "full")
    for _ in range(GROUP):
        kept.feed()
    steps, journal = kept.recording._encoded(), kept.recording._journal
    assert journal is not None
    began = time.perf_counter()
    for _ in range(events // GROUP):
        journal.append(steps)
    took = time.perf_counter() - began
    journal.close()
    return events / took


def _plain_file(path: Path, events: int) -> float:
    """The same bytes appended to a file, one write and one fsync a group: no way back to any of them."""
    line = encode(INPUT, CTX) + _event()
    began = time.perf_counter()
    with path.open("ab", buffering=0) as file:
        for _ in range(events // GROUP):
            file.write(line * GROUP)
            os.fdatasync(file.fileno())
    return events / (time.perf_counter() - began)


def _event() -> bytes:
    state = State(Rules())
    reduce(state, Register(kind="tool", pid=5, version="1"), CTX)
    return encode_line(reduce(state, INPUT, CTX).events[0])


def appended_by_c(program: Path) -> Callable[[Path, int], float]:
    """Rows of the same bytes written by SQLite from C: measures events a second."""

    def measure(path: Path, events: int) -> float:
        sizes = [str(len(encode(INPUT, CTX))), str(len(_event()))]
        command = [str(program), str(path), str(events), str(GROUP), *sizes]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return measure


def _throughput(folder: Path, rounds: int, *, quick: bool) -> None:
    program = folder / "sqlite_append"
    source = BENCH / "sqlite_append.c"
    subprocess.run(["gcc", "-O2", "-o", program, source, "-lsqlite3"], check=True)
    share = 20 if quick else 1
    ways: dict[str, tuple[Callable[[Path, int], float], int]] = {
        "SQLite from C, groups of 100, full": (appended_by_c(program), 50_000),
        "appended to the journal, groups of 100, full": (appended, 50_000),
        "reduced and journalled, groups of 100, full": (reduced_and_journalled("full", GROUP), 50_000),
        "reduced and journalled, groups of 100, normal": (reduced_and_journalled("normal", GROUP), 50_000),
        "reduced and journalled, one a commit, full": (reduced_and_journalled("full", 1), 2_000),
        "reduced and journalled, one a commit, normal": (reduced_and_journalled("normal", 1), 20_000),
        "plain file, one fsync a group of 100": (_plain_file, 50_000),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds):
        for way, (measure, events) in ways.items():
            path = folder / f"{len(rates[way])}-{number}-{way.replace(' ', '-').replace(',', '')}"
            rates[way].append(measure(path, events // share))
    reference = statistics.median(next(iter(rates.values())))
    print(f"{'events kept a second':<46} {'median':>9}   ratio to C")
    for way, found in rates.items():
        median = statistics.median(found)
        print(f"{way:<46} {median:>9.0f}   {median / reference:.2f}")


# --- a long journal


def _long_journal(folder: Path, events: int) -> None:
    """Write one, then ask it as the command line does, each question in a process of its own."""
    data = folder / "data"
    data.mkdir()
    path = data / "journal.sqlite3"
    kept = Kept(path, "normal")
    for _ in range(events // GROUP):
        for _ in range(GROUP):
            kept.feed()
        kept.recording.commit()
    journal = kept.recording._journal
    assert journal is not None
    journal.close()
    print(f"\na journal of {events} events, {path.stat().st_size / 2**20:.0f} MiB")
    began = time.perf_counter()
    Journal.open(path, "normal", FOREVER, lambda: "x").close()
    print(f"{'opened by a launcher':<44} {time.perf_counter() - began:>7.3f} s")
    near, far = str(events // 100), str(events - 5)
    _asked("quarterdeck --version (what a process costs)", ["--version"])
    for words in (
        ["state", "--at", near],
        ["state", "--at", str(events // 2)],
        ["state", "--at", far],
        ["why", str(events // 2)],
        ["events", "--since", "2029-12-31T00:00:00Z", "--kind", "process_*"],
        ["events", "--json"],
        ["replay"],
    ):
        where = [str(path)] if words == ["replay"] else ["--journal", str(path)]
        _asked(" ".join(words), [*words, *where])


def _asked(words: str, arguments: list[str]) -> None:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "quarterdeck", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    fault = "" if done.returncode == 0 else f"   exit {done.returncode}: {done.stderr.decode()[-200:]}"
    print(f"{words:<44} {took:>7.3f} s{worked:>9.3f} s of the processor{fault}")


if __name__ == "__main__":
    sys.exit(main())
