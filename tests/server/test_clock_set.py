"""The time of day is set while a launcher runs, to anything: it says by how much, deletes nothing for it, and what
happened is found by the times that a clock on the wall would have shown.
"""

from __future__ import annotations

import itertools
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.journalled import NAME, Kept, replayed
from tests.server.launched import Launched, short_folder
from tests.server.raw import Raw, publish

SOURCE = Path(__file__).resolve().parents[2] / "bench" / "clock_step.c"
DAY_S = 86_400


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is preloaded, so that a launcher's time of day, and nobody else's, is off by what a file says."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("clock") / "step.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE], check=True)
    return library


class Clocked:
    """Launchers one after the other in one folder, whose clock is set by hand."""

    def __init__(self, library: Path) -> None:
        self.folder = short_folder()
        self._offset = self.folder / "offset"
        self._inside = ("env", f"LD_PRELOAD={library}", f"CLOCK_STEP_FILE={self._offset}")
        self.set(0)
        self.launched: list[Launched] = []

    def set(self, seconds: int) -> None:
        """Off by so much from now on."""
        self._offset.touch()
        with self._offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    def start(self) -> tuple[Launched, Raw]:
        """A launcher, and a tool that publishes."""
        self.launched.append(Launched({"pid_check": "off"}, self.folder, inside=self._inside))
        return self.launched[-1], self.launched[-1].quiet()

    def said(self) -> list[str]:
        """What was logged of the clock."""
        return re.findall("the clock (?:was set|is ahead).*", self.launched[-1].log.read_text())

    def ask(self, *words: str) -> str:
        """A question of the command line, which must be answered."""
        command = [sys.executable, "-m", "quarterdeck", *words, "--journal", str(self.folder / NAME)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def clocked(library: Path) -> Iterator[Clocked]:
    clocked = Clocked(library)
    yield clocked
    for launched in clocked.launched:
        launched.put_away()
    shutil.rmtree(clocked.folder)


def publish_each(publisher: Raw, count: int) -> None:
    """Each with a commit of its own."""
    for number in range(count):
        publisher.send(publish(str(number)))
        publisher.ping()


def test_a_clock_that_is_ahead_for_a_moment_deletes_nothing_and_later_times_are_right(clocked: Clocked) -> None:
    first, publisher = clocked.start()
    publish_each(publisher, 20)
    first.process.terminate()
    first.process.wait()
    second, publisher = clocked.start()
    publish_each(publisher, 20)
    clocked.set(400 * DAY_S)
    publish_each(publisher, 1)
    clocked.set(0)
    publish_each(publisher, 100)
    ahead, back = clocked.said()
    assert ahead.startswith("the clock is ahead by 400 days, 0:00:00:")
    assert back.startswith("the clock was set back by 400 days, 0:00:00:")
    second.process.kill()
    second.process.wait()
    third, publisher = clocked.start()
    third.join("host")
    publish_each(publisher, 300)
    now_ms = time.time_ns() // 1_000_000
    assert Kept(clocked.folder, publisher.run_id).rows[-1].at_ms <= now_ms
    version = publisher.snapshot()["version"]
    asked = clocked.ask("state", "--at", "0m")
    assert f'"version":{version},' in asked
    assert '"kind":"host"' in asked
    told = clocked.ask("events", "--until", "0m", "--json", "--kind", "published").splitlines()
    assert len(told) == 20 + 120 + 300  # all but the one of the moment ahead
    assert clocked.ask("events", "--json", "--kind", "published").count("\n") == len(told) + 1
    for run in {line.partition('"run_id":"')[2][:36] for line in told}:
        assert replayed(clocked.folder, run).gaps == ()


def test_a_clock_that_is_set_back_is_told_once_and_followed(clocked: Clocked) -> None:
    _, publisher = clocked.start()
    publish_each(publisher, 5)
    clocked.set(-3600)
    publish_each(publisher, 5)
    assert len(clocked.said()) == 1
    assert clocked.said()[0].startswith("the clock was set back by 1:00:00:")
    rows = Kept(clocked.folder, publisher.run_id).rows
    by_ms = [later.at_ms - row.at_ms for row, later in itertools.pairwise(rows)]
    assert sum(by < 0 for by in by_ms) == 1
    assert min(by_ms) < -3_590_000
    since = clocked.ask("events", "--since", "59m30s", "--json", "--kind", "published")
    assert since.count("\n") == 5  # those by the clock that was wrong
    assert clocked.ask("events", "--until", "30m", "--json", "--kind", "published").count("\n") == 5
