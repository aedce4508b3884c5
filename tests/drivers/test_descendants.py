"""Whose a process is, in made-up tables and in the system's own."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from quarterdeck.drivers.descendants import (
    Family,
    Process,
    children_of_mine,
    described,
    kill,
    process_of,
    processes,
    sort_out,
    start_of,
)

GUARD = 99_000_000  # pids that no system gives, so that nothing real is looked at


def row(pid: int, parent: int, session: int | None = None, *, start: int = 1, is_dead: bool = False) -> Process:
    pid, parent = GUARD + pid, GUARD + parent
    own = pid if session is None else GUARD + session
    return Process(pid, parent, own, own, start, "p", is_dead)


def sorted_out(rows: list[Process], *families: Family) -> tuple[list[list[int]], list[int]]:
    table = {process.pid: process for process in rows}
    strays = sort_out(table, GUARD, families)
    members = [[member.pid - GUARD for member in family.members] for family in families]
    return members, [stray.pid - GUARD for stray in strays]


def test_descendants_go_with_the_direct_child_of_the_guard() -> None:
    first, second = Family(GUARD + 1, "g:1"), Family(GUARD + 2, "g:2")
    rows = [row(1, 0), row(2, 0), row(3, 1, 1), row(4, 3), row(5, 2, 2), row(6, -5)]
    assert sorted_out(rows, first, second) == ([[1, 3, 4], [2, 5]], [])


def test_an_orphan_is_known_by_its_session_or_because_it_was_seen_before() -> None:
    family = Family(GUARD + 1, "g:1")
    sorted_out([row(1, 0), row(2, 1), row(3, 2, 1)], family)
    # 1 and 2 are gone; 3 is of the session, 4 descends from who was seen, 5 is a stranger's.
    rows = [row(2, 0), row(3, 0, 1), row(4, 2), row(5, 0)]
    assert sorted_out(rows, family) == ([[2, 3, 4]], [5])


def test_a_pid_that_another_process_has_by_now_is_not_known() -> None:
    family = Family(GUARD + 1, "g:1")
    sorted_out([row(1, 0), row(2, 1)], family)
    assert sorted_out([row(1, 0), row(2, 0, start=2)], family) == ([[1]], [2])


def test_who_has_ended_is_a_member_and_not_alive() -> None:
    family = Family(GUARD + 1, "g:1")
    sorted_out([row(1, 0, is_dead=True), row(2, 1, 1)], family)
    assert [member.pid - GUARD for member in family.living] == [2]


def test_who_started_it_is_remembered_when_that_one_is_gone() -> None:
    family = Family(GUARD + 1, "g:1")
    child = row(3, 2)
    sorted_out([row(1, 0), row(2, 1), child], family)
    sorted_out([row(1, 0), row(3, 0)], family)
    assert described(child, family.known[child.key]) == f"pid {GUARD + 3} (p), started by pid {GUARD + 2} (p)"


def test_the_systems_table_agrees_with_psutil() -> None:
    with subprocess.Popen(["sleep", "100000"], start_new_session=True) as sleeper:
        found = processes()[sleeper.pid]
        assert (found.parent, found.group, found.session) == (os.getpid(), sleeper.pid, sleeper.pid)
        assert found.pid in children_of_mine()
        assert not found.is_dead
        assert found.key == (sleeper.pid, start_of(sleeper.pid))
        assert psutil.Process(sleeper.pid).ppid() == found.parent
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        ended = process_of(sleeper.pid)
        assert ended is not None
        assert ended.is_dead
    assert process_of(sleeper.pid) is None


def test_only_the_very_process_is_killed() -> None:
    with subprocess.Popen(["sleep", "100000"]) as sleeper:
        found = processes()[sleeper.pid]
        assert kill(found._replace(start=found.start + 1)) is None
        assert sleeper.poll() is None
        assert kill(found) is None
        assert sleeper.wait() == -9
    assert kill(found) is None  # gone: nothing to do


def test_a_name_with_parentheses_and_spaces_is_read_to_its_end() -> None:
    script = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) R 1 (b', 0, 0, 0); print(); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as odd:
        assert odd.stdout is not None
        odd.stdout.readline()
        found = process_of(odd.pid)
        assert found is not None
        assert (found.name, found.parent) == ("a) R 1 (b", os.getpid())
        odd.communicate()


def test_who_may_not_be_killed_is_said() -> None:
    """Asked by somebody who is not root, whoever runs the tests."""
    script = (
        "import os\n"
        "from quarterdeck.drivers.descendants import kill, process_of\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "print(kill(process_of(1)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "Operation not permitted\n"
