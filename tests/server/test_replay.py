"""A run is told again from its inputs alone; what differs, what is damaged and what is missing is named."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quarterdeck.core import reducer
from quarterdeck.core.state import State
from quarterdeck.core.step import Step
from quarterdeck.errors import ConfigError, JournalUnavailable
from quarterdeck.schema import commands as c
from quarterdeck.server.daemon import JOURNAL_NAME
from quarterdeck.server.portable import import_journal
from quarterdeck.server.replay import Difference, Gap, Replayed, replay
from quarterdeck.version import __version__
from tests.server.conftest import Launch
from tests.server.tape import NEXT_RUN, RUN, Tape, change, drop_before, window

FROZEN = sorted((Path(__file__).parent / "frozen").glob("*.ndjson"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / JOURNAL_NAME


def only(path: Path, **options: Any) -> Replayed:
    (replayed,) = replay(path, **options)
    return replayed


def parsed(side: msgspec.Raw) -> Any:
    return json.loads(bytes(side))


def difference(path: Path, **options: Any) -> Difference:
    found = only(path, **options).difference
    assert found is not None
    return found


# --- equal


def test_a_run_gives_every_event_and_hash_again(path: Path) -> None:
    tape = Tape(path)
    for label in ("a", "b", "ü\n\x00"):
        tape.feed(window(label))
        tape.checkpoint(whole=label == "b")
    tape.feed(c.Publish(topic="t", payload=msgspec.Raw(b'{"n":18446744073709551615,"x":1.5}')))
    tape.feed(c.ReportWindowClosed(label="nobody"))  # tells nothing
    replayed = only(tape.close())
    assert replayed.is_equal, replayed
    assert (replayed.inputs, replayed.events, replayed.hashes) == (6, tape.state.version, 3)
    assert (replayed.run_id, replayed.compared, replayed.gaps) == (RUN, "bytes", ())


def test_every_run_is_replayed_by_itself(path: Path) -> None:
    for run_id in (RUN, NEXT_RUN):
        tape = Tape(path, run_id)
        tape.feed(window("a"))
        tape.close()
    assert [(replayed.run_id, replayed.inputs, replayed.is_equal) for replayed in replay(path)] == [
        (RUN, 2, True),
        (NEXT_RUN, 2, True),
    ]


def test_a_run_is_meant_by_its_id_or_how_that_begins(path: Path) -> None:
    for run_id in (RUN, NEXT_RUN, RUN + "-longer"):
        Tape(path, run_id).close()
    assert only(path, run="3f2b").run_id == NEXT_RUN
    assert only(path, run=RUN).run_id == RUN
    with pytest.raises(ConfigError, match="3 runs begin so"):
        only(path, run="3f2")
    with pytest.raises(ConfigError, match=f"no such run; there are: .*{NEXT_RUN}"):
        only(path, run="4")


def test_without_a_journal_it_says_so(path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="there is no journal"):
        only(path)


@pytest.mark.parametrize("end", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_real_launcher_s_run_is_replayed(launch: Launch, tmp_path: Path, end: signal.Signals | None) -> None:
    """While it runs, after a clean end, and after a crash."""
    launched = launch()
    host, tool = launched.join("host"), launched.join()
    host.send(*({"cmd": "report_window_opened", "label": f"w{n}", "kind": "full_instance", "parent_label": None}
                for n in range(5)))  # fmt: skip
    host.close()
    tool.send(*({"cmd": "publish", "topic": "t", "payload": {"n": n, "text": "ünï"}} for n in range(2_000)))
    tool.send({"cmd": "get_snapshot", "id": 1})
    version = next(line["version"] for line in iter(tool.line, None) if line["event"] == "snapshot")
    journal = launched.folder / JOURNAL_NAME
    if end is not None:
        launched.process.send_signal(end)
        launched.wait()
        launched.process.returncode = 0
    replayed = only(journal)
    assert replayed.is_equal, replayed
    assert replayed.events >= version > 2_000
    assert replayed.hashes >= 1


# --- different


def test_an_event_that_differs_is_named_with_both_sides(path: Path) -> None:
    tape = Tape(path)
    version = tape.state.version
    tape.feed(window("a"), told=b'{"event":"first","version":3}\n{"event":"second","version":4}\n')
    found = difference(tape.close())
    assert (found.what, found.step, found.version) == ("event", 2, version + 1)
    assert parsed(found.input)["input"]["cmd"] == "report_window_opened"
    assert bytes(found.recorded) == b'{"event":"first","version":3}'
    assert parsed(found.replayed)["event"] == "window_opened"


def test_what_agrees_before_the_difference_is_passed(path: Path) -> None:
    first = Tape(path.with_name("first"))
    told = first.feed(window("a")).splitlines(keepends=True)
    first.close()
    assert len(told) >= 2
    tape = Tape(path)
    tape.feed(window("a"), told=b"".join(told[:-1]))
    found = difference(tape.close())
    assert (found.what, found.version) == ("event", first.state.version)
    assert (bytes(found.recorded), bytes(found.replayed) + b"\n") == (b"null", told[-1])


def test_one_event_more_was_recorded(path: Path) -> None:
    tape = Tape(path)
    tape.feed(c.ReportWindowClosed(label="nobody"), told=b'{"event":"window_closed"}\n')
    found = difference(tape.close())
    assert (bytes(found.recorded), bytes(found.replayed)) == (b'{"event":"window_closed"}', b"null")


def test_a_state_that_differs_is_named_by_its_members(path: Path) -> None:
    tape, other = Tape(path), Tape(path.with_name("other"))
    tape.feed(window("a"))
    other.feed(window("b"))
    other.close()
    tape.checkpoint(whole=True, state=other.state)
    found = difference(tape.close())
    assert (found.what, found.step, found.version) == ("hash", 2, tape.state.version)
    members = {member.name: (parsed(member.recorded), parsed(member.replayed)) for member in found.members}
    assert members["owned[0]"] == ("b", "a")
    assert members["windows[0]"][0][0] == "b"
    assert "processes" not in str(members.keys())


def test_without_the_recorded_state_the_hashes_are_named(path: Path) -> None:
    tape = Tape(path)
    tape.checkpoint(whole=False, state=State())
    found = difference(tape.close())
    assert (found.what, found.members) == ("hash", ())
    assert len(parsed(found.recorded)) == len(parsed(found.replayed)) == 64
    assert parsed(found.recorded) != parsed(found.replayed)


def test_a_count_of_inputs_that_differs_is_named(path: Path) -> None:
    tape = Tape(path)
    tape.checkpoint(whole=True, inputs=2)
    found = difference(tape.close())
    assert (found.what, bytes(found.recorded), bytes(found.replayed)) == ("inputs", b"2", b"1")


def by_the_input(*_: object) -> Step:
    raise ZeroDivisionError("by the input")


def test_a_rule_that_broke_down_breaks_down_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reducer.TABLE, c.Publish, by_the_input)
    tape = Tape(path)
    tape.feed(c.Publish(topic="t", payload=msgspec.Raw(b"1")))
    tape.feed(window("a"))
    tape.checkpoint(whole=True)
    replayed = only(tape.close())
    assert replayed.is_equal, replayed
    assert (replayed.inputs, replayed.hashes) == (3, 1)


def test_a_rule_that_breaks_down_as_it_did_not_is_named_with_the_input(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape(path)
    tape.feed(c.ReportWindowClosed(label="nobody"))  # tells nothing, broken or not
    monkeypatch.setitem(reducer.TABLE, c.ReportWindowClosed, by_the_input)
    found = difference(tape.close())
    assert (found.what, found.step) == ("reducer", 2)
    assert (parsed(found.recorded), parsed(found.replayed)) == (None, "ZeroDivisionError: by the input")
    assert parsed(found.input)["input"]["cmd"] == "report_window_closed"


def test_a_rule_that_was_mended_is_named_too_but_not_of_another_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setitem(reducer.TABLE, c.ReportWindowClosed, by_the_input)
        tape = Tape(path)
        tape.feed(c.ReportWindowClosed(label="nobody"))
        tape.close()
    found = difference(path)
    assert (found.what, parsed(found.replayed)) == ("reducer", None)
    assert parsed(found.recorded) == "ZeroDivisionError: by the input"
    assert only(path, version="9.9.9").is_equal


# --- another version


@pytest.mark.parametrize(
    ("change", "is_equal"),
    [
        (lambda members: {name: members[name] for name in ("event", "label")}, True),
        (lambda members: {**members, "gone": 1}, False),
        (lambda members: {**members, "label": "b"}, False),
        (lambda members: {**members, "version": float(members["version"])}, False),
    ],
)
def test_of_another_version_every_member_must_come_and_more_may(
    path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], is_equal: bool
) -> None:
    other = Tape(path.with_name("other"))
    first, *rest = other.feed(window("a")).splitlines(keepends=True)
    other.close()
    tape = Tape(path, version="0.0.9")
    tape.feed(window("a"), told=json.dumps(change(json.loads(first))).encode() + b"\n" + b"".join(rest))
    tape.checkpoint(whole=True)
    replayed = only(tape.close())
    assert (replayed.compared, replayed.hashes, replayed.is_equal) == ("members", 0, is_equal)


def test_of_another_version_an_event_less_is_a_difference(path: Path) -> None:
    tape = Tape(path, version="0.0.9")
    tape.feed(window("a"), told=b"")
    assert difference(tape.close()).what == "event"


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda frozen: frozen.stem)
def test_a_frozen_journal_is_replayed(frozen: Path, path: Path) -> None:
    """To freeze one for a release, or anew while a version is in the making: scripts/freeze_journal.py."""
    with frozen.open("rb") as source:
        import_journal(source, path)
    for run in replay(path, version="another"):
        assert run.is_equal, run
        assert (run.compared, run.gaps) == ("members", ())
        assert run.inputs > 30
    for run in replay(path):
        assert run.is_equal, (run, "if the state or an event was meant to change: scripts/freeze_journal.py")
        assert run.launcher_version != __version__ or (run.compared == "bytes" and run.hashes)


def test_there_are_frozen_journals() -> None:
    assert FROZEN


# --- gaps


def test_after_a_dropped_beginning_it_goes_on_from_the_next_state(path: Path) -> None:
    tape = Tape(path)
    known = 0
    for number in range(10):
        tape.feed(window(f"w{number}"))
        tape.checkpoint(whole=number == 4)
        known = tape.state.version if number == 4 else known
    drop_before(tape.close(), 4)
    replayed = only(path)
    assert replayed.is_equal, replayed
    assert replayed.gaps == (Gap("dropped", 1, known, 3, 3),)
    assert (replayed.inputs, replayed.hashes) == (5, 6)


def test_without_any_state_nothing_is_replayed_but_every_step_is_checked(path: Path) -> None:
    tape = Tape(path)
    for number in range(4):
        tape.feed(window(f"w{number}"))
    drop_before(tape.close(), 3)
    replayed = only(path)
    assert (replayed.is_equal, replayed.inputs) == (True, 0)
    assert replayed.gaps == (Gap("dropped", 1, tape.state.version, None, 3),)
    change(path, "UPDATE steps SET input = cast(replace(input, 'w2', 'wx') AS BLOB) WHERE step = 4")
    damage = only(path).damage
    assert damage is not None
    assert "step 4" in damage


def test_after_a_hole_it_goes_on_from_the_state_behind_it(path: Path) -> None:
    tape = Tape(path)
    tape.feed(window("a"))
    before = tape.state.version
    tape.lose(window("b"), window("c"))
    behind = tape.state.version
    tape.feed(c.ReportWindowClosed(label="b"))
    tape.checkpoint(whole=True)
    replayed = only(tape.close())
    assert replayed.is_equal, replayed
    assert replayed.gaps == (Gap("lost", before + 1, behind, 2, 0),)
    assert (replayed.inputs, replayed.hashes) == (3, 2)


def test_a_hole_without_a_state_behind_it_ends_what_is_known(path: Path) -> None:
    tape = Tape(path)
    tape.lose(window("b"))
    tape.feed(window("c"))
    change(tape.close(), "UPDATE checkpoints SET state = NULL")
    replayed = only(path)
    assert (replayed.is_equal, replayed.inputs) == (True, 1)
    (gap,) = replayed.gaps
    assert (gap.why, gap.inputs_gone, gap.inputs_passed, gap.last_version) == ("lost", 1, 1, tape.state.version)


# --- damage


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE steps SET events = cast(replace(events, 'w2', 'wx') AS BLOB) WHERE step = 4", "step 4 of run"),
        ("UPDATE steps SET input = cast(replace(input, 'w2', 'wx') AS BLOB) WHERE step = 4", "step 4 of run"),
        ("UPDATE steps SET version = version + 1 WHERE step = 4", "step 4 of run"),
        ("DELETE FROM steps WHERE step = 3", "step 3"),
        ("UPDATE runs SET head = cast(replace(head, '4096', '4095') AS BLOB)", "step 1 of run"),
        ("UPDATE runs SET head = cast('[]' AS BLOB)", "the first row of run"),
        ("UPDATE runs SET head = cast(replace(head, '3f2a', '3f2c') AS BLOB)", "it names 3f2c"),
        ("UPDATE checkpoints SET step = 99", "after step 99"),
        ("UPDATE checkpoints SET state = cast(replace(state, 'w2', 'wx') AS BLOB)", "the state after step 4"),
    ],
)
def test_damage_is_told_with_its_place(path: Path, statement: str, words: str) -> None:
    tape = Tape(path)
    for number in range(4):
        tape.feed(window(f"w{number}"))
        if number == 2:
            tape.checkpoint(whole=True)
    change(tape.close(), statement)
    replayed = only(path)
    assert not replayed.is_equal
    assert replayed.damage is not None
    assert words in replayed.damage


def test_an_input_that_no_version_knows_is_told_with_its_place(path: Path) -> None:
    tape = Tape(path)
    tape.keep(b'{"ctx":{"now":"x","now_ms":1,"source":"client"},"input":{"cmd":"fly"}}')
    damage = only(tape.close()).damage
    assert damage is not None
    assert "step 2: not an input that this version knows" in damage


@pytest.mark.parametrize("version", [__version__, "0.0.9"], ids=["of this version", "of another"])
@pytest.mark.parametrize("told", [b"x\n", b"\xff\n", b"[" * 5_000 + b"\n"], ids=["no JSON", "no UTF-8", "too deep"])
def test_an_event_that_is_none_is_told_with_its_place(path: Path, version: str, told: bytes) -> None:
    tape = Tape(path, version=version)
    tape.feed(window("a"), told=told)
    damage = only(tape.close()).damage
    assert damage is not None
    assert damage.startswith(f"{path}: step 2: not an event: ")


def test_a_state_that_is_no_state_at_all_is_told_with_its_place(path: Path) -> None:
    tape = Tape(path)
    tape.checkpoint(whole=True)
    state = b"[" * 5_000
    change(tape.close(), "UPDATE checkpoints SET state = ?, hash = ?", state, hashlib.sha256(state).hexdigest())
    damage = only(path).damage
    assert damage is not None
    assert damage.startswith(f"{path}: the state after step 1 is none that this version knows: ")


def test_a_state_that_no_version_knows_is_told_with_its_place(path: Path) -> None:
    tape = Tape(path)
    tape.lose(window("a"))
    state = b'{"version":"1"}'
    change(tape.close(), "UPDATE checkpoints SET state = ?, hash = ?", state, hashlib.sha256(state).hexdigest())
    damage = only(path).damage
    assert damage is not None
    assert "the state after step 1 is none that this version knows" in damage
