"""A worker in Python: it takes a job, does it, says what came of it, and takes the next.

It is replaced when it crashes, so it does not try to go on where it cannot: without its launcher it ends. What it does
it notes in the file that LEDGER names, if any: one line an execution, as it begins. worker.js does the same in
JavaScript.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import quarterdeck
from jobs import Jobs
from jobs_words import Claim, Claimed, Fail, Finish, Progress

STEPS: Final = 5
"""How often it says that it is still at it."""
CANNOT_GO_ON: Final = 1


class LeaseLost(Exception):
    """The job is not ours any more: it was cancelled, or we were too slow."""


def main() -> int:
    """Work until asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the `with` says goodbye: what we had waits again
    name = os.environ.get("QUARTERDECK_CHILD", "python")
    try:
        with quarterdeck.connect_blocking(
            kind="srv", name=name, events=("jobs_claimed",), reconnect=False, slices=[Jobs]
        ) as client:
            work(client)
    except (quarterdeck.ConnectionLost, quarterdeck.NoLauncher) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return CANNOT_GO_ON
    return 0


def work(client: quarterdeck.BlockingClient) -> None:
    """One job after the other."""
    events = client.events("jobs_claimed")
    rest(client)
    for event in events:
        if isinstance(event, Claimed) and event.pid == os.getpid():
            try:
                execute(client, event)
            except LeaseLost as lost:
                print(f"{event.key}: {lost}")
            rest(client)


def rest(client: quarterdeck.BlockingClient) -> None:
    """Ask for a job, and wait."""
    client.report_status({"state": "idle"})
    client.call(Claim())


def execute(client: quarterdeck.BlockingClient, job: Claimed) -> None:
    """One attempt, from its beginning to what is said of it. Raises: LeaseLost."""
    client.report_status({"state": "working", "job": job.key, "attempt": job.attempt})
    try:
        note(client, job)
        result = perform(job, lambda percent: tell(client, Progress(job.key, job.attempt, percent)))
        tell(client, Finish(job.key, job.attempt, result))
    except (LeaseLost, quarterdeck.ConnectionLost):
        raise
    except Exception as error:  # whatever the work was: it is the job that failed, not the worker
        tell(client, Fail(job.key, job.attempt, str(error)[:500]))


def tell(client: quarterdeck.BlockingClient, command: Progress | Finish | Fail) -> None:
    """Say something of a job. Raises: LeaseLost where it is not ours any more."""
    try:
        client.call(command)
    except quarterdeck.CommandRefused as refused:
        if refused.code == "conflict":
            raise LeaseLost(refused.message) from None
        raise


def note(client: quarterdeck.BlockingClient, job: Claimed) -> None:
    """The work's effect on the world, as far as this example has one: a line in the ledger, written at once."""
    path = os.environ.get("LEDGER")
    if path:
        line = {"run": client.run_id, "key": job.key, "attempt": job.attempt, "pid": os.getpid()}
        with open(path, "ab", buffering=0) as ledger:
            ledger.write(json.dumps(line).encode() + b"\n")


# --- the work: JSON, {"task": …, "ms": how long it takes}


def perform(job: Claimed, beat: Callable[[int], None]) -> str:
    """What a job asks for; `beat` is told the percentage now and then."""
    work: Any = json.loads(job.work)
    if not isinstance(work, dict) or work.get("task") not in TASKS:
        raise ValueError(f"expected an object whose task is one of {', '.join(TASKS)}, found {job.work:.60}")
    ms = work.get("ms", 0)
    for step in range(STEPS if ms else 0):
        time.sleep(ms / 1_000 / STEPS)
        beat(100 * (step + 1) // STEPS)
    return TASKS[work["task"]](work, job)


def digest(work: dict[str, Any], job: Claimed) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(str(work.get("text", "")).encode()).hexdigest()


def fail(work: dict[str, Any], job: Claimed) -> str:
    """Fail, or until the attempt `until`."""
    if job.attempt < work.get("until", sys.maxsize):
        raise RuntimeError(f"it was to fail, attempt {job.attempt}")
    return f"after {job.attempt} attempts"


def crash(work: dict[str, Any], job: Claimed) -> str:
    """Take the worker along."""
    os._exit(3)


TASKS: Final[dict[str, Callable[[dict[str, Any], Claimed], str]]] = {"digest": digest, "fail": fail, "crash": crash}


if __name__ == "__main__":
    sys.exit(main())
