"""A snapshot says the whole state, sorted by key, at its version."""

from __future__ import annotations

import msgspec

from tests.core.run import RUN_ID, Run, encoded


def test_an_empty_run() -> None:
    view = Run().snapshot()
    assert (view.version, view.run_id, view.lifecycle, view.journal) == (0, RUN_ID, "starting", "off")
    assert not any((view.processes, view.windows, view.children, view.sagas))


def test_processes_are_sorted_by_pid_whatever_the_order_they_came_in() -> None:
    run = Run()
    for pid in (9, 2, 4294967295, 30):
        run.register(pid)
    run.goodbye(2)
    assert [row.pid for row in run.snapshot().processes] == [2, 9, 30, 4294967295]


def test_a_row_says_what_is_known() -> None:
    run = Run()
    run.register(7, "srv", "db")
    run.status(7, b'{"n":1}')
    members = msgspec.json.decode(encoded(run.snapshot()))
    assert members["processes"] == [
        {
            "pid": 7,
            "kind": "srv",
            "name": "db",
            "client_version": "1",
            "state": "running",
            "code": None,
            "spawned_at": "2030-01-01T00:00:01.000Z",
            "exited_version": None,
            "status": {"n": 1},
        }
    ]


def test_members_are_all_there_and_the_id_is_not() -> None:
    members = msgspec.json.decode(encoded(Run().snapshot()))
    assert list(members) == [
        "event", "version", "run_id", "lifecycle", "windows", "pool", "instance_registry", "backend_window_ids",
        "monitors", "background_service", "processes", "children", "sagas", "journal",
    ]  # fmt: skip


def test_a_launcher_that_keeps_another_number_of_exited_records_says_so() -> None:
    members = msgspec.json.decode(encoded(Run(exited_processes_max=3).snapshot()))
    assert members["exited_processes_max"] == 3


def test_asking_changes_nothing() -> None:
    run = Run()
    run.register(1)
    before = run.dump()
    assert encoded(run.snapshot()) == encoded(run.snapshot())
    assert run.dump() == before
