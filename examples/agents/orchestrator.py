"""The orchestrator: it brings the queue over from one run of the launcher to the next, and has hung workers replaced.

The launcher forgets its state when it ends; its journal does not. So in each new run the orchestrator asks the journal
what the queue of the last one held in the end, and opens the new one with that. It is one command, so the queue is
opened whole or not at all, and whoever was told that a job is submitted will find it again, whatever died in between.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any, Final

import msgspec

import quarterdeck
from jobs import Jobs
from jobs_words import Job, Open, Queue, Returned

HUNG_S: Final = 5.0
"""A worker that lost its job because it said nothing gets so long to say anything before it is replaced."""
TURN_S: Final = 1.0
LINES_READ: Final = 1_000
"""Lines that are read first to find the last queue; where that is not enough, all."""
CANNOT_GO_ON: Final = 1

UNPROVEN: Final = ("lifecycle_phase_changed", "jobs_idled", "jobs_left", "jobs_came_late", "jobs_kept")
"""What is told also where the queue was never open."""


class Line(msgspec.Struct):
    """What every event of the journal says."""

    event: str
    run_id: str


class Past(msgspec.Struct):
    """What we look at of the state of another run."""

    jobs: Queue


def main() -> int:
    """Open the queue, then watch over the workers until asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with quarterdeck.connect_blocking(
            kind="host", name="orchestrator", mirror=True, reconnect=False, slices=[Jobs]
        ) as client:
            events = client.events(timeout_s=TURN_S)
            assert client.mirror is not None, "it was asked for"
            if not client.mirror.of(Jobs).is_open:
                open_queue(client)
            client.report_status({"queue": "open"})
            watch(client, events)
    except (quarterdeck.QuarterdeckError, JournalMissing) as error:
        print(f"orchestrator: {error}", file=sys.stderr)
        return CANNOT_GO_ON  # and be replaced
    return 0


# --- the queue of the last run


class JournalMissing(Exception):
    """What the last run left cannot be read: no queue is opened, so that nothing is forgotten."""


def open_queue(client: quarterdeck.BlockingClient) -> None:
    """Open the queue of this run with what the newest one of the earlier ones left. Raises: JournalMissing."""
    assert client.mirror is not None, "it was asked for"
    client.report_status({"queue": "opening"})
    if client.mirror.snapshot().journal == "off":
        print("the journal is off: jobs will not outlive the launcher")
        client.call(Open({}))
        return
    jobs, run = left(client.run_id)
    client.call(Open(jobs, run))
    print(f"opened the queue with {len(jobs)} jobs of {run or 'no other run'}")


def left(this_run: str) -> tuple[dict[str, Job], str | None]:
    """All jobs there are: those of the newest run whose queue was open, and which it was. Raises: JournalMissing."""
    for run in earlier_runs(this_run):
        (state,) = journal("state", "--run", run, "--slice", "jobs:Jobs")
        queue = msgspec.json.decode(state, type=Past).jobs
        if queue.is_open:
            return queue.jobs, run
    return {}, None


def earlier_runs(this_run: str) -> list[str]:
    """The runs in which something was told of jobs, the newest first. Raises: JournalMissing."""
    kinds = ("--kind", "jobs_*", "--kind", "lifecycle_phase_changed")
    runs: list[str] = []
    for options in ((*kinds, "-n", str(LINES_READ)), kinds):
        lines = [msgspec.json.decode(line, type=Line) for line in journal("events", *options)]
        if not lines or lines[-1].run_id != this_run:  # each run has told by now that it is running
            raise JournalMissing("the journal found from this folder is not that of the launcher")
        runs = [line.run_id for line in reversed(lines) if line.run_id != this_run and line.event not in UNPROVEN]
        if runs or len(lines) < LINES_READ:
            break
    return list(dict.fromkeys(runs))


def journal(command: str, *options: str) -> list[bytes]:
    """What a command reads from the journal, a line of JSON each. Raises: JournalMissing."""
    done = subprocess.run(
        [sys.executable, "-m", "quarterdeck", command, "--json", *options], capture_output=True, check=False
    )
    if done.returncode != 0:
        raise JournalMissing(f"the journal cannot be read: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.splitlines()


# --- the workers


def watch(client: quarterdeck.BlockingClient, events: Any) -> None:
    """See what becomes of the jobs, and have workers replaced that hang."""
    suspects: dict[int, tuple[str, float]] = {}
    while True:
        try:
            event = next(events)
        except quarterdeck.Timeout:
            event = None
        except StopIteration:
            return
        if isinstance(event, Returned) and event.is_overdue:
            suspects[event.pid] = (event.worker, time.monotonic() + HUNG_S)
            print(event.sentence())
        elif getattr(event, "pid", None) in suspects:
            del suspects[event.pid]  # it lives, or is gone
        for pid, (worker, until) in list(suspects.items()):
            if until < time.monotonic():
                del suspects[pid]
                replace(client, worker, pid)


def replace(client: quarterdeck.BlockingClient, worker: str, pid: int) -> None:
    """End a worker and start another, if it is one of the launcher's processes."""
    print(f"worker {worker} pid {pid} hangs, and is replaced")
    try:
        client.restart_process(worker)
    except quarterdeck.CommandRefused as refused:
        print(f"it could not be replaced: {refused.message}")


if __name__ == "__main__":
    sys.exit(main())
