"""A mirror: a snapshot, and the events after it folded in, say what the next snapshot says (semantics, invariant 0)."""

from __future__ import annotations

import pytest

from quarterdeck.core.mirror import Mirror
from quarterdeck.core.step import QuitSignalled, ShutdownFinished
from quarterdeck.errors import RemoteProtocolError
from quarterdeck.schema.events import JournalChanged, ProcessExited, ProcessSpawned, Published
from tests.core.run import Run, encoded


def story(run: Run) -> list[object]:
    """Everything that happens to processes in one run; gives what is to be done one by one."""
    return [
        lambda: run.register(3, "tool"),
        lambda: run.register(1, "host", "main"),
        lambda: run.status(1, b'{"a":[1,"x"]}'),
        lambda: run.publish(1),
        lambda: run.vanish(3),
        lambda: run.register(2, "srv"),
        lambda: run.goodbye(2),
        lambda: run.register(3, "renderer"),
        lambda: run.status(3),
        lambda: run.goodbye(3),
        lambda: run.register(2, "tool"),
        lambda: run.vanish(1),
        lambda: run.register(4, "host"),
        lambda: run.feed(QuitSignalled("SIGTERM"), source="launcher"),
        lambda: run.goodbye(4),
        lambda: run.feed(ShutdownFinished(), source="launcher"),
    ]


@pytest.mark.parametrize("kept", [0, 1, 2, 256])
def test_a_mirror_begun_anywhere_says_what_the_next_snapshot_says(kept: int) -> None:
    run = Run(exited_processes_max=kept)
    mirrors: list[Mirror] = []
    for act in story(run):
        mirrors.append(run.mirror())
        before = len(run.told)
        act()  # type: ignore[operator]  # each is a function
        for event in run.told[before:]:
            for mirror in mirrors:
                mirror.apply(event)
        for mirror in mirrors:
            assert encoded(mirror.snapshot()) == encoded(run.snapshot())


def test_an_event_it_holds_already_changes_nothing() -> None:
    run = Run()
    run.register(1)
    mirror = run.mirror()
    mirror.apply(run.told[0])
    assert encoded(mirror.snapshot()) == encoded(run.snapshot())


def test_a_missed_version_is_an_error() -> None:
    mirror = Run().mirror()
    with pytest.raises(RemoteProtocolError, match="version 0 and was given 2"):
        mirror.apply(Published(2, "t", 1, 1))
    assert mirror.version == 0


def test_versions_known_to_change_nothing_may_be_passed_over() -> None:
    mirror = Run().mirror()
    mirror.pass_over(4)
    mirror.pass_over(2)
    mirror.apply(Published(5, "t", 1, 1))
    assert mirror.version == 5


def test_it_folds_the_journals_state() -> None:
    mirror = Run().mirror()
    mirror.apply(JournalChanged(1, "failing"))
    assert mirror.snapshot().journal == "failing"


def test_it_forgets_exited_records_of_the_snapshot_it_began_with_in_order_of_their_exits() -> None:
    run = Run(exited_processes_max=2)
    for pid in (1, 2, 3):
        run.register(pid)
    run.goodbye(2)
    run.goodbye(1)
    mirror = run.mirror()
    run.goodbye(3)
    mirror.apply(run.told[-1])
    assert sorted(mirror.processes) == [1, 3]
    assert encoded(mirror.snapshot()) == encoded(run.snapshot())


def test_a_mirror_of_one_run_does_not_touch_the_snapshot_it_began_with() -> None:
    run = Run()
    run.register(1)
    start = run.snapshot()
    before = encoded(start)
    mirror = Mirror(start)
    mirror.apply(ProcessExited(2, 1, 0, "goodbye", False))
    mirror.apply(ProcessSpawned(3, 5, "tool", "1", None, "now"))
    assert encoded(start) == before
