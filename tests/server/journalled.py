"""What a launcher's journal holds, read beside it or after it, and held against what clients were told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from quarterdeck.log.reader import Hole, JournalReader, Run
from quarterdeck.server.replay import Replayed, replay
from tests.server.raw import Line, Raw, is_stream

NAME = "journal.sqlite3"


class Kept:
    """One run as the journal has it."""

    def __init__(self, folder: Path, run_id: str) -> None:
        reader = JournalReader(folder / NAME)
        try:
            (self.run,) = [run for run in reader.runs() if run.run_id == run_id]
            self.rows = list(reader.steps(self.run))
            self.holes = reader.holes(self.run)
            self.checkpoints = list(reader.checkpoints(self.run))
        finally:
            reader.close()
        self.lines = [line for row in self.rows for line in row.lines]
        self.events: list[Line] = [json.loads(line) for line in self.lines]

    @property
    def versions(self) -> list[int]:
        return [event["version"] for event in self.events]

    def hole(self) -> Hole:
        """The one hole."""
        (hole,) = self.holes
        return hole


def runs(folder: Path) -> list[Run]:
    reader = JournalReader(folder / NAME)
    try:
        return reader.runs()
    finally:
        reader.close()


def replayed(folder: Path, run_id: str) -> Replayed:
    """The run through a fresh reducer; it must give the same events and hashes."""
    (result,) = replay(folder / NAME, run_id)
    assert result.is_equal, result
    return result


def stream(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if is_stream(line)]


def all_events(client: Raw, since: int = 0, limit: int = 1000) -> tuple[list[Line], list[Line]]:
    """Every event after `since` by `get_events`, page by page, and the replies themselves without them."""
    found: list[Line] = []
    replies: list[Line] = []
    while True:
        client.send({"cmd": "get_events", "since": since, "run_id": client.run_id, "limit": limit})
        reply = client.until(event="event_list")[-1]
        page: list[Any] = reply.pop("events")
        found += page
        replies.append(reply)
        if not page or page[-1]["version"] == reply["version"]:
            return found, replies
        since = page[-1]["version"]
