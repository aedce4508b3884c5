"""However little a journal may hold, and however large what happens is: how everything was is known, wherever an event
is held.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.server.history import History
from tests.server.journalled import NAME, Kept, replayed
from tests.server.launched import Launched, short_folder
from tests.server.raw import publish

PAYLOAD = "x" * 60_000


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("bytes_max", "count"), [(1 << 20, 60), (1, 20), (8 << 20, 250)])
def test_who_was_alive_is_known_where_large_events_fill_the_journal(folder: Path, bytes_max: int, count: int) -> None:
    launched = Launched({"pid_check": "off", "limits.journal_bytes": bytes_max}, folder)
    try:
        publisher = launched.quiet()
        for _ in range(count):
            publisher.send(publish(PAYLOAD))
            publisher.ping()
        launched.join("srv", 4102, name="indexer")
        host = launched.join("host")
        host.send({"cmd": "report_window_opened", "label": "main", "kind": "full_instance", "parent_label": None})
        host.ping()
        last = publisher.snapshot()
        launched.process.kill()
        launched.process.wait()
    finally:
        launched.put_away()
    kept = Kept(folder, publisher.run_id)
    assert kept.run.oldest_step > kept.run.first_step  # something was dropped
    result = replayed(folder, publisher.run_id)
    assert result.inputs > 0
    assert result.inputs + result.gaps[0].inputs_passed == len(kept.rows)
    command = [sys.executable, "-m", "quarterdeck", "last-crash", "--json", "--data-dir", str(folder)]
    crash = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert {"srv", "host"} <= {row["kind"] for row in crash["processes"]}
    with History(folder / NAME) as history:
        record = history.record()
        first = next(row.version for row in kept.checkpoints if row.state is not None)
        assert first - kept.versions[0] < 1 + len(kept.rows) * 2 // 3
        for version in {first, (first + record.version) // 2, record.version}:
            assert history.snapshot(record, version).version == version
        assert record.version == last["version"]
        assert [window.label for window in history.snapshot(record).windows] == ["main"]
