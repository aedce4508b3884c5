"""Children in job objects: what holds without Windows, and the link over processes that the test plays."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quarterdeck.drivers import guard_wire as wire
from quarterdeck.drivers.job import JobLink, code_of
from quarterdeck.drivers.job_calls import (
    CREATION_FLAGS,
    KILLED_CODE,
    ExtendedLimits,
    JobCalls,
    ProcessInformation,
    StartupInfo,
    limits_for,
)
from quarterdeck.drivers.job_program import command_line_of, environment_block, find_program
from quarterdeck.errors import Unsupported

ENV = {"PATH": os.defpath}
NEXT_S = 30.0


def test_structures_are_as_large_as_windows_says() -> None:
    assert ctypes.sizeof(ExtendedLimits) == 144
    assert ctypes.sizeof(StartupInfo) == 104
    assert ctypes.sizeof(ProcessInformation) == 24
    assert ExtendedLimits.JobMemoryLimit.offset == 120
    assert StartupInfo.hStdInput.offset == 80


def test_a_job_ends_with_its_handle_and_limits_memory_only_where_that_is_asked() -> None:
    free, limited = limits_for(None), limits_for(5 << 30)
    assert free.BasicLimitInformation.LimitFlags == 0x2000
    assert limited.BasicLimitInformation.LimitFlags == 0x2200
    assert limited.JobMemoryLimit == 5 << 30


def test_a_process_begins_suspended_in_a_group_of_its_own() -> None:
    assert CREATION_FLAGS == 0x604


def test_an_environment_is_sorted_whatever_the_case_and_ends_with_two_nuls() -> None:
    assert environment_block({"b": "2", "C": "ö=", "A": ""}) == "A=\0b=2\0C=ö=\0\0"
    assert environment_block({}) == "\0\0"


def test_of_names_that_differ_by_case_the_last_one_counts() -> None:
    assert environment_block({"PATH": "old", "Path": "new"}) == "Path=new\0\0"


@pytest.mark.parametrize("env", [{"": "x"}, {"a=b": "x"}, {"a\0": "x"}, {"a": "x\0y"}])
def test_what_cannot_be_a_variable_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not an environment variable"):
        environment_block(env)


def test_arguments_are_quoted_as_programs_split_them() -> None:
    assert command_line_of(("a b.exe", 'say "hi"', "c:\\x\\", "")) == '"a b.exe" "say \\"hi\\"" c:\\x\\ ""'


def test_a_command_that_windows_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="40002 characters"):
        command_line_of(("x", "y" * 40000))
    with pytest.raises(ValueError, match="NUL"):
        command_line_of(("x\0",))


def test_exit_codes_are_told_as_the_guard_tells_them() -> None:
    assert code_of(3, killed=False) == (3, None)
    assert code_of(KILLED_CODE, killed=True) == (-9, None)
    assert code_of(KILLED_CODE, killed=False) == (137, None)
    assert code_of(0, killed=True) == (0, None)
    assert code_of(0xC000013A, killed=False) == (-2, None)
    assert code_of(0xC0000005, killed=False) == (0xC0000005, "access violation")


def test_a_program_is_found_by_its_own_path_with_the_suffix_left_out(tmp_path: Path) -> None:
    for name in ("tool", "tool.exe", "build.cmd"):
        (tmp_path / name).touch(mode=0o755)
    env = {"PATH": "old", "Path": f"nowhere{os.pathsep}{tmp_path}"}
    assert find_program(("tool",), str(tmp_path), env) == str(tmp_path / "tool.exe")
    assert find_program(("tool.exe",), str(tmp_path), env) == str(tmp_path / "tool.exe")
    with pytest.raises(ValueError, match=r'build\.cmd is a batch file.*\["cmd", "/c"'):
        find_program(("build",), str(tmp_path), env)
    with pytest.raises(ValueError, match=r"no such program: none \(looked in PATH nowhere"):
        find_program(("none",), str(tmp_path), env)
    with pytest.raises(ValueError, match="no such folder"):
        find_program(("tool",), str(tmp_path / "gone"), env)


@pytest.mark.skipif(sys.platform == "win32", reason="there it works")
def test_elsewhere_it_says_so() -> None:
    with pytest.raises(Unsupported, match="job objects are of Windows"):
        JobCalls()


@dataclass
class PlayedProcess:
    """A process and its job: the test says what it writes, who is with it, and when it ends."""

    pid: int
    fds: list[int]
    env: str
    refuses: bool = False
    others: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    code: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def resume(self) -> None:
        self.calls.append("resume")

    def ask_to_end(self) -> None:
        self.calls.append("ask")
        if self.refuses:
            raise OSError("no console")

    def kill(self) -> None:
        self.calls.append("kill")
        self.others = []
        self.end(KILLED_CODE)

    def wait(self) -> int:
        self.ended.wait()
        assert self.code is not None
        return self.code

    def members(self) -> list[int]:
        return self.others

    def close(self) -> None:
        self.calls.append("close")

    def end(self, code: int) -> None:
        if not self.ended.is_set():
            self.code = code
            for fd in self.fds:
                os.close(fd)
            self.ended.set()


class Scene:
    """The link, the calls below it and its owner, all in one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[PlayedProcess] = []
        self.reports: asyncio.Queue[wire.Report] = asyncio.Queue()
        self.link = JobLink(asyncio.get_running_loop(), self, self)

    def start(
        self, program: str, command_line: str, env: str, cwd: str, memory_max: int | None, fds: tuple[int, int, int]
    ) -> PlayedProcess:
        if "refused" in command_line:
            raise OSError(13, "Access is denied")
        self.made.append(PlayedProcess(os.getpid(), [os.dup(fd) for fd in fds[1:]], env))
        return self.made[-1]

    def reported(self, report: wire.Report) -> None:
        self.reports.put_nowait(report)

    async def next(self) -> wire.Report:
        return await asyncio.wait_for(self.reports.get(), NEXT_S)

    async def spawned(self, *, watched: bool = False, released: bool = True) -> PlayedProcess:
        log = str(self.folder / "web.log")
        argv = (sys.executable, "web.py")
        self.link.send(wire.Spawn("web", argv, str(self.folder), ENV, log_path=log, watched=watched))
        spawned = await self.next()
        assert isinstance(spawned, wire.Spawned)
        if released:
            self.link.send(wire.Release("web", spawned.pid))
        return self.made[-1]

    async def exited(self) -> wire.Exited:
        report = await self.next()
        assert isinstance(report, wire.Exited), report
        return report

    @property
    def log(self) -> list[str]:
        """What stands in its log, without the times."""
        return [line.split(" ", 1)[1] for line in (self.folder / "web.log").read_text().splitlines()]


def open_fds() -> int:
    """How many files are open; 0 where nobody knows."""
    return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0


def play(folder: Path, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Scene(folder))

    asyncio.run(run())


def test_a_child_is_held_begins_writes_and_ends(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        process = await at.spawned(watched=True, released=False)
        assert process.calls == []
        assert "QUARTERDECK_CHILD=web\0" in process.env
        at.link.send(wire.Release("web", process.pid))
        at.link.send(wire.Release("web", process.pid))
        os.write(process.fds[0], b"listening\r\n")
        assert await at.next() == wire.Line("web", process.pid, "listening")
        at.link.send(wire.Ready("web", process.pid))
        os.write(process.fds[1], b"last words")
        process.end(3)
        assert await at.exited() == wire.Exited("web", process.pid, 3, output="listening\nlast words")
        assert process.calls == ["resume", "kill", "close"]
        started = f"log started, pid {process.pid}"
        assert at.log == [started, "out listening", "err last words", "log ended, exit code 3"]

    play(tmp_path, scene)


def test_who_is_killed_counts_as_killed_and_its_name_is_free_again(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        process = await at.spawned()
        at.link.send(wire.Spawn("web", (sys.executable,), str(tmp_path), ENV))
        assert await at.next() == wire.SpawnFailed("web", f"is alive already (pid {process.pid})")
        at.link.send(wire.Kill("web", process.pid + 1))  # another life of it
        at.link.send(wire.Kill("web", None))
        assert (await at.exited()).code == -9
        await at.spawned()
        await at.link.end()

    play(tmp_path, scene)


def test_what_a_child_left_behind_is_told_and_killed(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        process = await at.spawned()
        process.others = [os.getpid()]
        process.end(0)
        (left,) = (await at.exited()).escaped
        assert left.startswith(f"pid {os.getpid()} (")
        assert process.others == []
        assert at.log[-1] == f"log left behind: {left}"

    play(tmp_path, scene)


def test_the_rest_of_a_child_that_was_asked_to_end_has_time_until_the_kill(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        process = await at.spawned()
        process.others = [os.getpid()]
        at.link.send(wire.Signal("web", None, "SIGTERM"))
        process.end(0xC000013A)
        at.link.send(wire.Kill("web", None))
        exited = await at.exited()
        assert (exited.code, exited.escaped) == (-2, ())
        assert process.calls[:3] == ["resume", "ask", "kill"]

    play(tmp_path, scene)


def test_who_is_held_and_asked_to_end_is_killed(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        process = await at.spawned(released=False)
        at.link.send(wire.Signal("web", process.pid, "SIGTERM"))
        assert (await at.exited()).code == -9
        assert "ask" not in process.calls
        assert at.log == ["log ended before it began"]

    play(tmp_path, scene)


def test_what_is_not_possible_is_told(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        at.link.send(wire.Policy("kill"))
        at.link.send(wire.Policy("adopt", "guard.sock"))
        adopt = await at.next()
        assert isinstance(adopt, wire.Trouble)
        assert 'on_launcher_death = "adopt" is not possible on Windows' in adopt.why
        process = await at.spawned()
        at.link.send(wire.Signal("web", None, "SIGHUP", ends=False))
        why = "SIGHUP is not passed on: there are no signals on Windows"
        assert await at.next() == wire.Trouble("web", why)
        process.refuses = True
        at.link.send(wire.Signal("web", None, "SIGTERM"))
        why = "cannot be asked to end, and is killed in time: no console"
        assert await at.next() == wire.Trouble("web", why)
        await at.link.end()
        assert process.calls[-1] == "close"

    play(tmp_path, scene)


def test_a_child_that_cannot_be_made_is_told_and_leaves_no_stream_open(tmp_path: Path) -> None:
    async def scene(at: Scene) -> None:
        before = open_fds()
        spawn = wire.Spawn("web", (sys.executable, "refused"), str(tmp_path), ENV, log_path=str(tmp_path / "web.log"))
        at.link.send(spawn)
        why = f"{sys.executable} cannot be run: Access is denied"
        assert await at.next() == wire.SpawnFailed("web", why)
        assert at.log == [f"log cannot be started: {why}"]
        assert open_fds() == before

    play(tmp_path, scene)
