"""Audit: what became of every job, from the launcher's journal alone, compared with the ledger that the workers wrote.

    python audit.py                          # of the fleet in this folder, whenever you like

The journal is the record of what was promised, claimed and said to be done; the ledger is what was done: one line an
execution, written by the workers themselves as it begins. Where the two agree, nothing was done twice in silence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jobs import RETURNS_MAX

COMMAND = (sys.executable, "-m", "quarterdeck")
ENDS = {"jobs_finished": "done", "jobs_died": "dead", "jobs_cancelled": "cancelled"}


class Execution(NamedTuple):
    """One attempt at a job, in which run and by which process."""

    run: str
    key: str
    attempt: int
    pid: int


class Record:
    """What the journal says of the jobs, over all runs."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.told = Counter(str(event["event"]) for event in events)
        self.work: dict[str, str] = {}
        self.ends: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.claims: dict[str, list[Execution]] = defaultdict(list)
        self.retries: dict[str, int] = {}
        self.failures: Counter[str] = Counter()
        self.returns: Counter[str] = Counter()
        self.gaps = [event for event in events if event["event"] == "lagged"]
        for event in events:
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        name, key = event["event"], event.get("key", "")
        if name == "jobs_submitted":
            self.work.setdefault(key, event["work"])
            self.retries.setdefault(key, event["retries"])
        elif name == "jobs_claimed":
            self.claims[key].append(Execution(event["run_id"], key, event["attempt"], event["pid"]))
        elif name in ENDS:
            self.ends[key].append(event)
        elif name == "jobs_failed":
            self.failures[key] += 1
        elif name == "jobs_returned":
            self.returns[key] += event["is_counted"]

    def state(self, key: str) -> str:
        """What became of a job: how it ended, or `open`."""
        return ENDS[self.ends[key][-1]["event"]] if key in self.ends else "open"

    def complaints(self, executions: list[Execution]) -> Iterator[str]:
        """What does not agree, a line each."""
        for gap in self.gaps:
            yield f"the journal has a gap: {gap}"
        for key in sorted(self.work.keys() | self.claims.keys() | self.ends.keys()):
            yield from self._of_job(key)
        yield from self._of_executions(executions)

    def _of_job(self, key: str) -> Iterator[str]:
        if key not in self.work:
            yield f"{key}: nobody submitted it"
        if len(self.ends[key]) > 1:
            yield f"{key}: ended {len(self.ends[key])} times: {', '.join(each['event'] for each in self.ends[key])}"
        numbers = [claim.attempt for claim in self.claims[key]]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{key}: its attempts are numbered {numbers}"
        is_blamed = self.failures[key] > self.retries.get(key, 0) or self.returns[key] >= RETURNS_MAX
        if self.state(key) == "dead" and not is_blamed:
            yield f"{key}: dead after {self.failures[key]} failures and {self.returns[key]} workers lost: too soon"

    def _of_executions(self, executions: list[Execution]) -> Iterator[str]:
        claims = {claim for of_job in self.claims.values() for claim in of_job}
        for execution, times in Counter(executions).items():
            if execution not in claims:
                yield f"{execution}: was done, and the record shows no such attempt"
            if times > 1:
                yield f"{execution}: was done {times} times in one attempt"
        done = {(execution.key, execution.attempt) for execution in executions}
        for ends in self.ends.values():
            for end in ends:
                if end["event"] == "jobs_finished" and (end["key"], end["attempt"]) not in done:
                    yield f"{end['key']}: attempt {end['attempt']} is said to be done, and was not"


def read_record(folder: Path) -> Record:
    """The record of the fleet in a folder. Raises: CalledProcessError."""
    said = subprocess.run(
        [*COMMAND, "events", "--json", "--kind", "jobs_*"], cwd=folder, capture_output=True, check=True
    ).stdout
    return Record([json.loads(line) for line in said.splitlines()])


def read_ledger(path: Path) -> list[Execution]:
    """The executions that the workers noted."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Execution(line["run"], line["key"], line["attempt"], line["pid"]) for line in lines]


def figures(record: Record, executions: list[Execution]) -> dict[str, int]:
    """What there is to count, in the order in which it is shown."""
    states = Counter(record.state(key) for key in record.work)
    claims = sum(map(len, record.claims.values()))
    times = Counter(execution.key for execution in executions)
    return {
        "jobs submitted": len(record.work),
        **{f"  {state}": states[state] for state in ("done", "dead", "cancelled", "open")},
        "attempts in the record": claims,
        "  repeated attempts": claims - sum(map(bool, record.claims.values())),
        "executions in the ledger": len(executions),
        "  repeated executions": sum(times.values()) - len(times),
        "words that came too late, and were refused": record.told["jobs_came_late"],
        "queues opened": record.told["jobs_opened"],
    }


def main() -> int:
    """Audit the fleet of this folder."""
    folder = Path(__file__).resolve().parent
    record = read_record(folder)
    executions = read_ledger(folder / os.environ.get("LEDGER", "ledger.jsonl"))
    for what, count in figures(record, executions).items():
        print(f"{what}: {count}")
    complaints = list(record.complaints(executions))
    print("\n".join(complaints) or "journal and ledger agree")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
