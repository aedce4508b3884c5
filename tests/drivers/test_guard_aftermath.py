"""What is left when a guard or a launcher was killed: found by pid, start time and boot, or by the guard's mark."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from quarterdeck.drivers.guard_aftermath import clean_up, forget, is_here, keep
from quarterdeck.drivers.guard_wire import Hello, Living
from tests.drivers.guarding import Guarded, guarded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")


def test_a_guard_that_ends_its_children_by_itself_is_waited_for(tmp_path: Path) -> None:
    with guarded(tmp_path) as guard:
        guard.start(guard.program("a", "many.py"))
        guard.line("a", "200")
        keep(tmp_path / "guard.json", guard.hello)
        assert (tmp_path / "guard.json").stat().st_mode & 0o777 == 0o600
        guard.link.close()  # as if the launcher were gone
        assert clean_up(tmp_path / "guard.json") == []
        assert guard.left() == []
        assert not (tmp_path / "guard.json").exists()


def test_a_guard_that_does_not_end_is_killed_and_all_that_it_left(tmp_path: Path) -> None:
    guard = Guarded(tmp_path)
    guard.start(guard.program("a", "daemon.sh", "stay"))
    guard.line("a", "daemon")
    keep(tmp_path / "guard.json", guard.hello)
    os.kill(guard.process.pid, signal.SIGSTOP)
    guard.link.close()
    killed = clean_up(tmp_path / "guard.json", patience_s=0.05)
    assert killed[0] == f"pid {guard.process.pid} (the guard, which did not end)"
    assert any("sleep 100000" in text for text in killed[1:])
    assert guard.left() == []
    guard.wait()


@pytest.mark.parametrize("member", ["boot", "start", "pid"])
def test_a_process_that_is_not_that_guard_is_left_alone(tmp_path: Path, member: str) -> None:
    path = tmp_path / "guard.json"
    with guarded(tmp_path) as guard:
        guard.start(guard.spec("a", "sleep", "100000"))
        changed = {"boot": "another", "start": guard.hello.start + 1, "pid": 1}[member]
        keep(path, guard.hello._replace(**{member: changed, "mark": "1.1"}))  # type: ignore[arg-type]
        assert clean_up(path, patience_s=0) == []
        assert psutil.pid_exists(guard.process.pid)
        assert len(guard.left()) == 1
        assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"boot":1,"pid":"x","start":1,"mark":"1.1","cgroup":null}'])
def test_a_record_that_makes_no_sense_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "guard.json").write_text(text)
    assert clean_up(tmp_path / "guard.json") == []


def test_an_empty_mark_would_be_everybodys(tmp_path: Path) -> None:
    with guarded(tmp_path) as guard:
        keep(tmp_path / "guard.json", guard.hello)
        members = json.loads((tmp_path / "guard.json").read_text())
        (tmp_path / "guard.json").write_text(json.dumps({**members, "pid": 1, "mark": ""}))
        guard.start(guard.spec("a", "sleep", "100000"))
        assert clean_up(tmp_path / "guard.json") == []
        assert len(guard.left()) == 1


def test_what_was_never_kept_need_not_be_forgotten(tmp_path: Path) -> None:
    forget(tmp_path / "guard.json")
    assert clean_up(tmp_path / "guard.json") == []


def test_a_guard_is_known_by_pid_start_and_boot_and_so_are_its_children(tmp_path: Path) -> None:
    with guarded(tmp_path) as guard:
        hello: Hello = guard.hello
        assert is_here(hello)
        assert not is_here(hello._replace(boot="another"))
        assert not is_here(hello._replace(start=hello.start + 1))
        assert not is_here(hello._replace(pid=os.getpid()))
        mine = psutil.Process().pid
        assert not is_here(hello._replace(children=(Living("a", mine, 1, "", 1, True, True),)))
