"""Limits of memory: cgroups in a made-up tree (what a system lets us do differs), and real ones where there are any."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from quarterdeck.drivers import guard_limits
from quarterdeck.drivers.guard_limits import Cgroup, CgroupRoom, speaks_of_memory
from tests.drivers.guarding import Guarded


def system(tmp_path: Path, own: str = "/user.slice/app.scope") -> tuple[str, Path]:
    """Make a /proc and a tree of cgroups, this process in `own`; returns both."""
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(f"4:memory:/elsewhere\n0::{own}\n")
    (proc / "self" / "mounts").write_text(f"proc /proc proc rw 0 0\ncgroup2 {root} cgroup2 rw 0 0\n")
    folder = root / own.strip("/")
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text(f"{os.getpid()}\n")
    return str(proc), folder


def test_children_get_theirs_below_our_own(tmp_path: Path) -> None:
    proc, own = system(tmp_path)
    room = CgroupRoom(proc)
    assert room.folder == f"{own}/quarterdeck-{os.getpid()}"
    first = room.make("1")
    assert first is not None
    assert Path(first.folder).is_dir()
    assert room.make("1") is None  # there already
    room.close()
    assert not Path(room.folder).exists()


def test_what_killed_guards_left_is_removed_and_what_others_use_is_not(tmp_path: Path) -> None:
    proc, own = system(tmp_path)
    gone = subprocess.Popen(["true"])
    gone.wait()
    (own / f"quarterdeck-{gone.pid}" / "3").mkdir(parents=True)
    (own / f"quarterdeck-{os.getppid()}").mkdir()
    (own / "quarterdeck-docs").mkdir()
    room = CgroupRoom(proc)
    names = {f"quarterdeck-{os.getpid()}", f"quarterdeck-{os.getppid()}", "quarterdeck-docs", "cgroup.procs"}
    assert set(os.listdir(own)) == names
    room.close()


def test_without_cgroups_of_version_2_there_are_none(tmp_path: Path) -> None:
    proc, _ = system(tmp_path)
    Path(proc, "self", "mounts").write_text("cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n")
    room = CgroupRoom(proc)
    assert room.folder is None
    assert room.make("1") is None
    room.kill()
    room.close()


def test_in_a_delegated_cgroup_processes_move_down_so_that_memory_can_be_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, own = system(tmp_path)
    monkeypatch.setattr(guard_limits, "_is_delegated", lambda folder: folder == str(own))
    room = CgroupRoom(proc)  # this tree refuses the first try: it has no cgroup.subtree_control
    assert (own / "launcher").is_dir()
    assert room.folder == f"{own}/quarterdeck-{os.getpid()}"


def test_in_a_services_subgroup_there_is_room_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc, own = system(tmp_path)
    above = own.parent
    (above / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(guard_limits, "_is_delegated", lambda folder: folder == str(above))
    room = CgroupRoom(proc)
    assert room.folder == f"{above}/quarterdeck-{os.getpid()}"
    assert (above / "cgroup.subtree_control").read_text() == "+memory"


def test_a_limit_is_written_and_the_kernels_count_read(tmp_path: Path) -> None:
    cgroup = Cgroup(str(tmp_path))
    assert not cgroup.limit_memory(1 << 30)  # no memory controller
    assert cgroup.oom_kills() == 0
    for name in ("memory.max", "memory.swap.max", "memory.oom.group"):
        (tmp_path / name).write_text("")
    assert cgroup.limit_memory(1 << 30)
    assert [(tmp_path / name).read_text() for name in ("memory.max", "memory.swap.max")] == [str(1 << 30), "0"]
    (tmp_path / "memory.events").write_text("low 0\noom 4\noom_kill 3\noom_group_kill 1\n")
    assert cgroup.oom_kills() == 3


@pytest.mark.parametrize(
    "said",
    [
        "Traceback …\nMemoryError",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "sh: 0: Cannot allocate memory",
    ],
)
def test_a_programs_last_lines_say_that_it_was_memory(said: str) -> None:
    assert speaks_of_memory(said)


def test_other_last_lines_do_not() -> None:
    assert not speaks_of_memory("ValueError: remember me\nmemory usage: 12 MiB")


def test_real_cgroups_are_made_entered_and_removed(tmp_path: Path) -> None:
    guard = Guarded(tmp_path)
    try:
        room = guard.hello.cgroup
        if room is None:
            pytest.skip("this system lets us have no cgroups")
        pid = guard.start(guard.program("a", "daemon.sh", "stay"))
        guard.line("a", "daemon")
        members = {int(pid) for found in Path(room).glob("*/cgroup.procs") for pid in found.read_text().split()}
        assert pid in members
        assert len(members) == 3
        guard.process.kill()  # nothing tidies up
        guard.wait()
        guard_limits.kill_cgroup(room)
        next_one = Guarded(tmp_path)
        next_one.close()
        assert not Path(room).exists()
        assert not Path(str(next_one.hello.cgroup)).exists()
        assert guard.left() == []
    finally:
        guard.close()


def test_what_a_guard_below_a_child_left_goes_with_the_child_s(tmp_path: Path) -> None:
    proc, own = system(tmp_path)
    room = CgroupRoom(proc)
    child = room.make("1")
    assert child is not None
    inner = Path(child.folder, "quarterdeck-4000", "1")
    inner.mkdir(parents=True)
    (inner / "cgroup.procs").write_text("4001\n")
    assert child.members() == [4001]
    (inner / "cgroup.procs").unlink()  # a real one's files go with it
    child.remove()
    assert not Path(child.folder).exists()
    (own / f"quarterdeck-{os.getpid()}" / "2" / "quarterdeck-4000" / "1").mkdir(parents=True)
    room.close()
    assert os.listdir(own) == ["cgroup.procs"]
