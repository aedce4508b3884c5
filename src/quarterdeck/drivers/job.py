"""Job: the guard's place on Windows, where the system itself ends what a launcher leaves. Written, not yet run there.

It speaks the guard's words (`guard_wire`) within the launcher: each child is in a job object of its own, and all that
descends from it is too. The handles of the jobs are this process's alone, so that nothing outlives it; that is also why
no later launcher can take children over.

Rules:
- Requests come on the loop's thread, and reports go there, each in a turn of its own. Three threads a child do nothing
  but block: one for its end, two for its streams.
- A child's `Exited` is its last report: by then nothing is in its job any more.
- There are no signals: to ask for an end is Ctrl-Break to the child's group, whatever the signal's name.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any, Final, Protocol

import psutil

from quarterdeck.drivers import guard_wire as wire
from quarterdeck.drivers.child_output import ChildOutput, LogFile, Stream
from quarterdeck.drivers.job_calls import KILLED_CODE, JobCalls
from quarterdeck.drivers.job_program import command_line_of, environment_block, find_program

READ_BYTES: Final = 16 << 10
LINGER_S: Final = 0.25
"""How often we look whether the rest of a child that was asked to end has ended."""
DRAIN_S: Final = 2.0
"""How long the streams of a child may stay open when its job is empty; then a stranger has them."""
END_PATIENCE_S: Final = 10.0
LINES_WAITING_MAX: Final = 1000
"""So many lines of children that are watched may wait for the loop; then their streams wait."""
_SIGKILL: Final = 9
_STATUS_NO_MEMORY: Final = 0xC0000017
_STATUS_CONTROL_C_EXIT: Final = 0xC000013A
_STATUS: Final = {
    0xC0000005: "access violation",
    _STATUS_NO_MEMORY: "out of memory",
    0xC00000FD: "stack overflow",
    0xC0000135: "a DLL was not found",
    0xC0000142: "a DLL could not begin",
    0xC0000374: "heap corruption",
    0xC0000409: "it aborted",
}


class Owner(Protocol):
    """Who is told: the launcher's end of the guard."""

    def reported(self, report: wire.Report) -> None:
        """One report."""
        ...


class Process(Protocol):
    """What is needed of `job_calls.JobProcess`."""

    pid: int

    def resume(self) -> None: ...  # noqa: D102
    def ask_to_end(self) -> None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102
    def wait(self) -> int: ...  # noqa: D102
    def members(self) -> list[int]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Calls(Protocol):
    """What is needed of `job_calls.JobCalls`."""

    def start(  # noqa: D102
        self, program: str, command_line: str, env: str, cwd: str, memory_max: int | None, fds: tuple[int, int, int]
    ) -> Process: ...


def code_of(exit_code: int, *, killed: bool) -> tuple[int, str | None]:
    """Return an exit code as the guard tells it, minus a signal's number for who was killed, and what it means."""
    if killed and exit_code == KILLED_CODE:
        return -_SIGKILL, None
    if exit_code == _STATUS_CONTROL_C_EXIT:
        return -signal.SIGINT.value, None
    return exit_code, _STATUS.get(exit_code)


class _Child:
    """A child from its making until it was reported as gone."""

    def __init__(self, spawn: wire.Spawn, process: Process) -> None:
        self.name = spawn.name
        self.process = process
        self.again = f", attempt {spawn.attempt}" if spawn.attempt > 1 else ""
        self.output = ChildOutput(_file_of(spawn))
        self.lock = threading.Lock()  # of its output
        self.is_over = False  # nothing more is written
        self.is_watched = spawn.watched
        self.is_passed_on = spawn.outlets is not None
        self.is_released = False
        self.is_asked_to_end = False
        self.killed = threading.Event()
        self.readers: list[threading.Thread] = []

    def kill(self) -> None:
        """End all of it; that it has ended already is no fault."""
        self.killed.set()
        self.process.kill()

    def escaped(self) -> tuple[str, ...]:
        """Wait for the rest of it where that has time to end; return who is left unasked, as texts. Raises OSError."""
        if self.is_asked_to_end:
            while self.process.members() and not self.killed.wait(LINGER_S):
                pass
        left = [] if self.killed.is_set() else self.process.members()
        return wire.few([f"pid {pid} ({_program_of(pid)})" for pid in left])

    def say_end(self, code: int, why: str | None, escaped: tuple[str, ...]) -> None:
        """Write into its log how it ended and what it left behind, and close it."""
        ended = f"ended, exit code {code}" if code >= 0 else f"ended by signal {-code}"
        said = ended if self.is_released else "ended before it began"
        self.output.say(f"{said}; {why}" if why else said)
        for text in escaped:
            self.output.say(f"left behind: {text}")
        self.output.close()


class JobLink:
    """Children in jobs; takes the guard's requests by `send`. Raises Unsupported elsewhere than on Windows."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, calls: Calls | None = None) -> None:
        self._loop = loop
        self._owner = owner
        self._calls: Calls = JobCalls() if calls is None else calls
        self._children: dict[str, _Child] = {}
        self._room = threading.Semaphore(LINES_WAITING_MAX)
        self._emptied: asyncio.Event | None = None

    def send(self, request: wire.Request) -> None:
        """Carry out a request; what becomes of it is reported."""
        match request:
            case wire.Spawn():
                self._spawn(request)
            case wire.Policy("adopt"):
                why = 'on_launcher_death = "adopt" is not possible on Windows: children end with the launcher'
                self._report(wire.Trouble(None, why))
            case wire.Policy():
                pass  # the system sees to it
            case wire.Ping():
                self._report(wire.Pong())
            case wire.End():
                for child in self._children.values():
                    self._kill(child)
            case _:
                child_there = self._children.get(request.name)
                if child_there is not None and request.pid in (None, child_there.process.pid):
                    self._ask(child_there, request)

    async def end(self) -> None:
        """Kill what is left, and wait until it is gone."""
        self.send(wire.End())
        if self._children:
            self._emptied = asyncio.Event()
            try:
                await asyncio.wait_for(self._emptied.wait(), END_PATIENCE_S)
            except TimeoutError:
                pass  # what cannot be killed is the system's, when our handles close

    def _ask(self, child: _Child, request: wire.Release | wire.Ready | wire.Signal | wire.Kill) -> None:
        match request:
            case wire.Release():
                self._release(child)
            case wire.Ready():
                child.is_watched = False
            case wire.Signal(_, _, name, ends):
                self._signal(child, name, ends=ends)
            case wire.Kill():
                self._kill(child)

    def _spawn(self, spawn: wire.Spawn) -> None:
        there = self._children.get(spawn.name)
        if there is not None:
            self._report(wire.SpawnFailed(spawn.name, f"is alive already (pid {there.process.pid})"))
            return
        try:
            process, pipes = self._started(spawn)
        except ValueError as error:
            output = ChildOutput(_file_of(spawn))
            output.say(f"cannot be started: {error}")
            output.close()
            self._report(wire.SpawnFailed(spawn.name, str(error)))
            return
        child = self._children[spawn.name] = _Child(spawn, process)
        self._report(wire.Spawned(child.name, process.pid, _start_of(process.pid)))
        outlets = dict(zip(pipes, spawn.outlets or (None, None), strict=True))
        child.readers = [_thread(self._read, child, stream, fd, outlets[stream]) for stream, fd in pipes.items()]
        _thread(self._see_end, child)

    def _started(self, spawn: wire.Spawn) -> tuple[Process, dict[Stream, int]]:
        program = find_program(spawn.argv, spawn.cwd, spawn.env)
        line = command_line_of(spawn.argv)
        env = environment_block({**spawn.env, "QUARTERDECK_CHILD": spawn.name})
        fds: list[int] = []
        try:
            fds += os.pipe()
            fds += os.pipe()
            fds.append(os.open(os.devnull, os.O_RDONLY))
            out, out_theirs, err, err_theirs, null = fds
            streams = (null, out_theirs, err_theirs)
            process = self._calls.start(program, line, env, spawn.cwd, spawn.memory_max, streams)
        except OSError as error:
            _close_all(fds)
            raise ValueError(f"{program} cannot be run: {error.strerror or error}") from None
        _close_all(list(streams))
        return process, {"out": out, "err": err}

    def _release(self, child: _Child) -> None:
        if child.is_released:
            return
        child.is_released = True
        with child.lock:
            child.output.say(f"started, pid {child.process.pid}{child.again}")
        try:
            child.process.resume()
        except OSError as error:
            self._report(wire.Trouble(child.name, f"its program cannot begin: {error}"))
            self._kill(child)

    def _signal(self, child: _Child, name: str, *, ends: bool) -> None:
        if not ends:
            self._report(wire.Trouble(child.name, f"{name} is not passed on: there are no signals on Windows"))
            return
        child.is_asked_to_end = True
        if name == "SIGKILL" or not child.is_released:  # who is held could not hear anything
            self._kill(child)
            return
        try:
            child.process.ask_to_end()
        except OSError as error:
            self._report(wire.Trouble(child.name, f"cannot be asked to end, and is killed in time: {error}"))

    def _kill(self, child: _Child) -> None:
        try:
            child.kill()
        except OSError as error:
            self._report(wire.Trouble(child.name, f"cannot be killed: {error}"))

    # --- on threads of their own

    def _read(self, child: _Child, stream: Stream, fd: int, outlet: int | None) -> None:
        """Take what a stream brings until it is closed, or whoever reads the outlet has gone."""
        try:
            while received := os.read(fd, READ_BYTES):
                with child.lock:
                    if child.is_over:
                        return
                    lines = child.output.take(stream, received)
                    begun = child.output.begun(stream) if len(received) < READ_BYTES else b""
                    lines += [begun] if begun else []
                self._tell_lines(child, lines)
                rest = memoryview(received if outlet is not None else b"")
                while rest and outlet is not None:
                    rest = rest[os.write(outlet, rest) :]
        except OSError:
            pass  # a broken pipe is how Windows tells its end
        finally:
            os.close(fd)

    def _tell_lines(self, child: _Child, lines: list[bytes]) -> None:
        for line in lines:
            if not child.is_watched:
                return
            self._room.acquire()
            self._call(self._heard, wire.Line(child.name, child.process.pid, line.decode(errors="replace")))

    def _see_end(self, child: _Child) -> None:
        """Wait for a child's end, end what it left, and report."""
        exit_code, why = 1, None
        escaped: tuple[str, ...] = ()
        try:
            exit_code = child.process.wait()
            escaped = child.escaped()
            child.process.kill()
        except OSError as error:
            why = f"its end could not be seen to: {error}"
        for reader in child.readers:
            reader.join(None if child.is_passed_on else DRAIN_S)
        code, meaning = code_of(exit_code, killed=child.killed.is_set())
        why = why or meaning
        with child.lock:
            lines, tail = child.output.finish(), child.output.tail()
            child.say_end(code, why, escaped)
            child.is_over = True
        self._tell_lines(child, lines)
        oom = exit_code == _STATUS_NO_MEMORY
        self._call(self._gone, child, wire.Exited(child.name, child.process.pid, code, oom, why, tail, escaped))

    # --- back on the loop's

    def _heard(self, line: wire.Line) -> None:
        self._room.release()
        self._owner.reported(line)

    def _gone(self, child: _Child, report: wire.Exited) -> None:
        child.process.close()
        del self._children[child.name]
        if self._emptied is not None and not self._children:
            self._emptied.set()
        self._owner.reported(report)

    def _report(self, report: wire.Report) -> None:
        """Tell in a turn of its own: who asked is not done yet."""
        self._loop.call_soon(self._owner.reported, report)

    def _call(self, function: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # the loop is closed: nobody asks any more


def _thread(run: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=run, args=arguments, name="job", daemon=True)
    thread.start()
    return thread


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _file_of(spawn: wire.Spawn) -> LogFile | None:
    return None if spawn.log_path is None else LogFile(spawn.log_path, spawn.log_bytes_max, spawn.log_kept)


def _start_of(pid: int) -> int:
    """Return when a process began, as `transport.peercred` tells it; 0 where it is gone."""
    try:
        return int(psutil.Process(pid).create_time() * 1000)
    except psutil.Error:
        return 0


def _program_of(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "?"
