"""Slices in a real launcher: their vocabulary, what they keep, what becomes of one that breaks down, and a replay."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.server.daemon import JOURNAL_NAME
from quarterdeck.server.history import History
from quarterdeck.server.replay import Replayed, replay
from quarterdeck.slices.slice import Slice
from tests.server.launched import Launched, serve_command
from tests.server.raw import Line, Raw
from tests.slices.samples import Bad, Jobs

SLICES = ("--slice", "tests.slices.samples:Jobs", "--slice", "tests.slices.samples:Bad")


@pytest.fixture
def launched() -> Iterator[Launched]:
    """A launcher with the sample slices."""
    started = Launched({"pid_check": "off"}, options=SLICES, may_break_down=True)
    yield started
    started.put_away()


def ask(client: Raw, cmd: str, **members: Any) -> Line:
    """Send a command and give what answers it."""
    client.send({"cmd": cmd, "id": cmd, **members})
    return client.until(id=cmd)[-1]


def replayed(launched: Launched, *slices: type[Slice[Any]]) -> Replayed:
    (found,) = replay(launched.folder / JOURNAL_NAME, slices=slices)
    return found


def test_a_slice_joins_the_vocabulary(launched: Launched) -> None:
    worker, tool = launched.join("srv"), launched.join()
    assert worker.registered["slices"] == {"jobs": 3, "bad": 1}
    assert ask(tool, "jobs_put", job="a")["event"] == "ack"
    assert ask(tool, "jobs_put", job="")["message"] == "jobs_put: `job`: expected `str` of length >= 1"
    assert ask(tool, "jobs_put", job="b", ms=1.5)["message"] == "jobs_put: `ms`: expected `int`, got `float`"
    assert ask(tool, "jobs_put")["message"] == "jobs_put: `job`: missing"
    assert ask(tool, "jobs_fly")["message"] == "`cmd`: invalid value 'jobs_fly'"
    assert ask(tool, "jobs_take")["code"] == "forbidden"
    assert ask(worker, "jobs_finish", job="a")["message"] == "job a is not yours"
    snapshot = ask(tool, "get_snapshot")
    assert snapshot["jobs"]["jobs"]["a"]["ms"] == 1000
    assert snapshot["bad"] == {"count": 0, "texts": {}}


def test_before_register_it_is_too_early_for_a_slices_command_as_for_any(launched: Launched) -> None:
    client = launched.connect()
    client.send({"cmd": "jobs_put", "job": "a", "id": 1})
    client.expect(event="error", code="not_registered", fatal=True, id=1)


def test_its_events_are_subscribed_to_by_name_and_pattern(launched: Launched) -> None:
    worker = launched.join("srv", subscribe={"events": ["jobs_t*", "jobs_returned"]})
    tool = launched.join(subscribe={"events": ["none*"]})
    ask(tool, "jobs_put", job="a")
    ask(worker, "jobs_take")
    assert [line["event"] for line in worker.ping()] == []
    worker.close()
    watcher = launched.join(subscribe={"events": ["jobs_*"], "since": 0, "run_id": tool.run_id})
    told = watcher.until(event="jobs_returned")
    assert [line["event"] for line in told if line["event"].startswith("jobs_")] == [
        "jobs_queued",
        "jobs_taken",
        "jobs_returned",
    ]
    error = ask(tool, "subscribe", events=["jobs_never"])
    assert error["message"] == "subscribe: `events[0]`: no event is called 'jobs_never'"


def test_what_was_taken_by_who_vanishes_waits_again_in_the_same_step(launched: Launched) -> None:
    worker, tool = launched.join("srv"), launched.join()
    ask(tool, "jobs_put", job="a")
    taken = ask(worker, "jobs_take")
    worker.close()
    told = tool.until(event="jobs_returned")[-2:]
    assert [line["event"] for line in told] == ["process_exited", "jobs_returned"]
    assert [line["version"] for line in told] == [taken["version"] + 1, taken["version"] + 2]


def test_a_slice_is_called_when_its_time_has_come(launched: Launched) -> None:
    worker, tool = launched.join("srv"), launched.join()
    ask(tool, "jobs_put", job="a", ms=30)
    ask(worker, "jobs_take")
    assert tool.until(event="jobs_returned")[-1]["why"] == "its time is over"


def test_a_slice_that_breaks_down_is_logged_and_costs_its_command_alone(launched: Launched) -> None:
    tool, other = launched.join(), launched.join()
    for how in ("fold", "late", "place", "infinite", "exit", "cancelled", "keyboard"):
        answer = ask(tool, "bad_do", how=how)
        assert (answer["event"], answer["code"], answer["fatal"]) == ("error", "internal", False)
        assert answer["message"].startswith("bad_do: the launcher could not do it (")
    assert ask(tool, "bad_do", how="long")["code"] == "limit_reached"
    assert ask(tool, "bad_do")["event"] == "ack"
    assert ask(tool, "publish", topic="fold", payload=1)["event"] == "ack"
    assert ask(other, "get_snapshot")["bad"] == {"count": 1, "texts": {}}
    versions = [line["version"] for line in other.ping()]
    assert versions == sorted(set(versions))
    said = launched.log.read_text()
    assert "bad_do broke down" in said
    assert "slice bad, hearing of published, broke down" in said
    assert "tests/slices/samples.py" in said
    assert "ZeroDivisionError: in the fold" in said
    launched.end()
    assert replayed(launched, Bad, Jobs).is_equal


def test_what_a_refusal_tells_comes_before_it_and_is_told_again_by_a_replay(launched: Launched) -> None:
    tool, other = launched.join(), launched.join()
    tool.send({"cmd": "bad_do", "how": "refused", "id": 1})
    told, refused = tool.until(id=1)[-2:]
    assert (told["event"], told["how"]) == ("bad_did", "tried")
    assert (refused["event"], refused["code"], refused["message"]) == ("error", "conflict", "no, but noted")
    assert other.until(event="bad_did")[-1] == told
    assert ask(other, "get_snapshot")["bad"]["count"] == 1
    launched.end()
    assert replayed(launched, Bad, Jobs).is_equal


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_with_slices_is_told_again_with_them_and_not_without(launched: Launched, end: signal.Signals) -> None:
    worker, tool = launched.join("srv"), launched.join()
    for number in range(600):
        put = {
            "cmd": "jobs_put",
            "job": f"job {number}",
            "ms": 60_000,
        }  # none comes back, however slow this is
        tool.send(put, {"cmd": "publish", "topic": f"{number}", "payload": 1})
        tool.ping()  # it is there before it is taken, so that no refusals pile up for a worker that does not read
        worker.send({"cmd": "jobs_take"}, {"cmd": "jobs_finish", "job": f"job {number}"})
    worker.ping()
    snapshot = ask(tool, "get_snapshot")
    version, held = snapshot["version"], snapshot["jobs"]
    launched.process.send_signal(end)
    launched.wait()
    launched.process.returncode = 0
    found = replayed(launched, Jobs, Bad)
    assert found.is_equal, found
    assert found.events >= version > 1_800
    assert found.hashes >= 1
    without = replayed(launched, Bad)
    assert (without.is_equal, without.inputs) == (False, 0)
    assert without.lacking == ("slice jobs, version 3, is not at hand (--slice tests.slices.samples:Jobs)",)
    with History(launched.folder / JOURNAL_NAME, (Jobs,)) as history:
        record = history.record()
        assert history.snapshot(record).jobs == json_of(held)  # type: ignore[attr-defined]  # a member of the slice
        assert history.lacking(record) == ("slice bad, version 1, is not at hand (--slice tests.slices.samples:Bad)",)
    with History(launched.folder / JOURNAL_NAME) as history:
        assert not hasattr(history.snapshot(history.record()), "jobs")


def json_of(held: Line) -> Any:
    from quarterdeck.wire.codec import decode_as
    from tests.slices.samples import Held

    return decode_as(json.dumps(held).encode(), Held)


class Older(Jobs):
    """The same, before it was changed."""

    version = 2


def test_another_version_of_a_slice_does_not_replay_what_this_one_did(launched: Launched) -> None:
    ask(launched.join(), "jobs_put", job="a")
    launched.end()
    found = replayed(launched, Older, Bad)
    assert found.lacking == ("slice jobs is at hand in version 2, and it ran version 3",)
    assert not found.is_equal


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--slice", "nonsense"), "--slice: expected module:NAME, such as app.counter:Counter, found 'nonsense'"),
        (("--slice", "tests.slices.nowhere:Jobs"), "--slice: there is no module tests.slices.nowhere, neither"),
        (("--slice", "tests.slices.samples:Held"), "expected a class below quarterdeck.Slice, found the class Held"),
        ((*SLICES, *SLICES[:2]), "slices: slice jobs is of tests.slices.samples:Jobs, twice"),
        ((*SLICES, "--set", "slices=1"), "limits.slices is 1, and there are 2"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_is(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    command = serve_command(tmp_path, {}, options=options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / JOURNAL_NAME).exists()


DECK = """
[quarterdeck]
data_dir = "."

[slices]
notes = "notes:Notes"

[process.worker]
command = "{python} -c 'import time; time.sleep(600)'"
ready = "running"
autostart = false
"""
NOTES = """
from msgspec import Struct
import quarterdeck
import neighbour

class Note(quarterdeck.SliceCommand, tag="notes_note", frozen=True):
    text: str

class Noted(quarterdeck.SliceEvent, tag="notes_noted", frozen=True):
    text: str

class State(Struct, frozen=True):
    notes: tuple[str, ...] = ()

class Notes(quarterdeck.Slice[State]):
    name = "notes"
    commands = (Note,)
    events = (Noted,)

    def reduce(self, state, command, ctx):
        return [Noted(neighbour.shown(command.text))]

    def fold(self, state, event):
        return State((*state.notes, event.text))
"""


def test_a_quarterdeck_toml_names_slices_beside_it(tmp_path: Path) -> None:
    deck = tmp_path / "quarterdeck.toml"
    deck.write_text(DECK.format(python=sys.executable))
    (tmp_path / "notes.py").write_text(NOTES)
    (tmp_path / "neighbour.py").write_text("def shown(text):\n    return text.upper()\n")
    launched = Launched({"pid_check": "off"}, tmp_path, options=("--config", str(deck)))
    try:
        client = launched.join()
        ask(client, "notes_note", text="hello")
        assert ask(client, "get_snapshot")["notes"] == {"notes": ["HELLO"]}
        deck.write_text(deck.read_text().replace("notes:Notes", "other:Notes"))
        launched.process.send_signal(signal.SIGHUP)
        while "started anew" not in launched.log.read_text():
            client.ping()
    finally:
        launched.put_away()


def test_a_name_that_is_not_the_slices_own_is_told_with_the_right_one(tmp_path: Path) -> None:
    deck = tmp_path / "quarterdeck.toml"
    deck.write_text(DECK.format(python=sys.executable).replace("notes = ", "jots = "))
    (tmp_path / "notes.py").write_text(NOTES.replace("import neighbour", ""))
    command = serve_command(tmp_path, {}, options=("--config", str(deck)))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert 'slices.jots: notes:Notes is called notes: write notes = "notes:Notes"' in done.stderr
