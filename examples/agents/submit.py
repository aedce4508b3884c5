"""Hand in jobs, and wait for what comes of them.

    python submit.py 20                      # twenty jobs of a third of a second
    python submit.py 1 --work '{"task": "crash"}' --key poison

A job that was acknowledged is in the journal, and will be done or told as dead. Where the launcher dies before it
answers, the same job is handed in again under the same key, which makes no second one of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import quarterdeck
from jobs import Jobs
from jobs_words import Cancelled, Died, Finished, Queue, Submit

TURN_S = 0.2
STATES = {Finished: "done", Died: "dead", Cancelled: "cancelled"}


def main() -> int:
    """Submit, wait, print."""
    parser = argparse.ArgumentParser(description="Hand in jobs, and wait for what comes of them.")
    parser.add_argument("count", type=int, help="how many")
    parser.add_argument("--key", default=f"job-{time.time_ns() // 1_000_000}", help="how their keys begin")
    parser.add_argument("--work", help="their work, as JSON (default: a digest that takes 300 ms)")
    wanted = parser.parse_args()
    jobs = {
        f"{wanted.key}-{number}": wanted.work or json.dumps({"task": "digest", "text": f"{number}", "ms": 300})
        for number in range(1, wanted.count + 1)
    }
    ended: Counter[str] = Counter()
    try:
        with quarterdeck.connect_blocking(name="submit", data_dir=data_dir(), mirror=True, slices=[Jobs]) as client:
            for state, words in follow(client, jobs):
                print(words)
                ended[state] += 1
    except quarterdeck.QuarterdeckError as error:
        print(f"submit: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{count} {state}" for state, count in sorted(ended.items())))
    return 0 if ended["done"] == len(jobs) else 1


def follow(client: quarterdeck.BlockingClient, jobs: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Hand in jobs, and say of each when it has ended: its state, and that in words."""
    events = client.events("jobs_*", timeout_s=TURN_S)
    unsubmitted, unended = dict(jobs), set(jobs)
    while unended:
        submit(client, unsubmitted)
        try:
            event = next(events)
        except quarterdeck.Timeout:  # all that was told is read; what has ended all the same did so elsewhere
            for key in sorted(unended - unsubmitted.keys()):
                if (found := looked_up(held(client), key)) is not None:
                    unended.discard(key)
                    yield found
        else:
            if isinstance(event, Finished | Died | Cancelled) and event.key in unended:
                unended.discard(event.key)
                yield STATES[type(event)], event.sentence()


def looked_up(queue: Queue, key: str) -> tuple[str, str] | None:
    """What became of a job of which nothing was told to us: it had ended before, or with another launcher."""
    job = queue.jobs.get(key)
    if not queue.is_open or (job is not None and job.is_open):
        return None
    if job is None:
        return "forgotten", f"job {key} is forgotten; the record knows: quarterdeck events --kind 'jobs_*'"
    return job.state, f"job {key} is {job.state} after {job.attempts} attempts: {job.result}"


def submit(client: quarterdeck.BlockingClient, unsubmitted: dict[str, str]) -> None:
    """Hand in what is not yet, as far as the queue has room. Raises: CommandRefused where a job cannot be."""
    while unsubmitted and held(client).is_open:
        key, work = next(iter(unsubmitted.items()))
        try:
            client.call(Submit(key, work))
        except quarterdeck.CommandRefused as refused:
            if refused.code == "limit_reached" or not held(client).is_open:
                return  # later
            raise
        except (quarterdeck.ConnectionLost, quarterdeck.Timeout):
            return  # whether it was taken is not known: the same again, later
        del unsubmitted[key]


def data_dir() -> Path | None:
    """The fleet's data folder, unless the environment says where the launcher is."""
    return None if "QUARTERDECK_ENDPOINT" in os.environ else Path(__file__).resolve().parent / ".quarterdeck"


def held(client: quarterdeck.BlockingClient) -> Queue:
    """The queue as it is known here."""
    assert client.mirror is not None, "it was asked for"
    return client.mirror.of(Jobs)


if __name__ == "__main__":
    sys.exit(main())
