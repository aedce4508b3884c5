"""Guard child: how the guard makes a process, holds it at its gate, and what it keeps of it until it is gone.

The new process is a fork of the guard. It makes itself ready (a session of its own, limits, folder, streams), waits for
one byte at the gate and becomes the program. The gate is a socket pair: the same way back it says why it could not. Its
end in the child closes by itself when the program begins, so that nothing of the guard is left in it.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
from typing import Final, NoReturn

if sys.platform != "win32":
    from quarterdeck.drivers.child_output import ChildOutput, LogFile, Stream
    from quarterdeck.drivers.descendants import NAME, TREE, Family, die_with_parent, start_of
    from quarterdeck.drivers.guard_limits import Cgroup, limit_data, limit_open_files, raise_oom_score
    from quarterdeck.drivers.guard_outlet import Outlet
    from quarterdeck.drivers.guard_wire import Ended, Exited, Living, Spawn, few

assert sys.platform != "win32", "fork"

_NOT_RUN: Final = 126
_NOT_FOUND: Final = 127
ENDED_MAX: Final = 256
"""So many children that ended by themselves are remembered."""
_ENDED_OUTPUT: Final = 4096
"""So many characters of its last lines are kept once it has ended."""
_HELD: Final = b"\0"
_GO: Final = b"\1"
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class GuardChild:
    """A child as the guard knows it, from its fork until it was reported as gone."""

    def __init__(self, spawn: Spawn, pid: int, start: int, mark: str, gate: socket.socket) -> None:
        self.name = spawn.name
        self.pid = pid
        self.start = start
        self.family = Family(pid, mark)
        self.gate: socket.socket | None = gate
        self.pipes: dict[Stream, int] = {}
        self.outlets: dict[Stream, Outlet] = {}
        self.output = ChildOutput(_file_of(spawn))
        self.cgroup: Cgroup | None = None
        self.is_data_limited = False
        self.is_watched = spawn.watched
        self.is_held = False  # it has reached its gate; it stays true
        self.is_released = False
        self.is_ready = False
        self.is_asked_to_end = False
        self.is_killed = False
        self.code: int | None = None
        self.why: str | None = None
        self.escaped: dict[tuple[int, int], str] = {}
        self.oom_kills_before = 0
        self._revision = spawn.revision
        self._attempt = spawn.attempt

    @property
    def is_ending(self) -> bool:
        """Whether what is left of it is to go."""
        return self.is_killed or self.code is not None

    @property
    def may_linger(self) -> bool:
        """Whether the rest of its group has time to end: all were asked to, and nobody is to be killed yet."""
        return self.code is not None and self.is_asked_to_end and not self.is_killed

    def release(self) -> None:
        """Let the program begin."""
        if self.gate is not None and not self.is_released:
            self.is_released = True
            again = f", attempt {self._attempt}" if self._attempt > 1 else ""
            self.output.say(f"started, pid {self.pid}{again}")
            try:
                self.gate.send(_GO)
            except OSError:
                pass  # it died at the gate: its exit is on its way

    def hear(self) -> bool:
        """Take what comes back through the gate; returns whether that was the last."""
        if self.gate is None:
            return True
        try:
            said = self.gate.recv(1024)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        self.is_held |= said.startswith(_HELD)
        self.why = said.removeprefix(_HELD).decode(errors="replace") or self.why
        if not said:
            self.gate.close()
            self.gate = None
        return not said

    def leak_report(self) -> tuple[str, ...]:
        """Return what it left behind, and by whom each was started: so many as a person reads."""
        return few(list(self.escaped.values()))

    def say_end(self, why: str | None) -> None:
        """Write into its log how it ended and what it left behind, and close it."""
        said = _ended(self.code) if self.is_released else "ended before it began"
        self.output.say(f"{said}; {why}" if why else said)
        for text in self.leak_report():
            self.output.say(f"left behind: {text}")
        self.output.close()

    def described(self) -> Living:
        """Return what the next launcher is to know of it."""
        return Living(self.name, self.pid, self.start, self._revision, self._attempt, self.is_released, self.is_ready)

    def ended(self, exited: Exited) -> Ended | None:
        """Return what the next launcher is to know of its end; None where it was asked to end, or is a mere probe."""
        if self.is_asked_to_end or self.is_killed or not self.is_released or not self._revision:
            return None
        name, pid, code, oom, why, output, escaped = exited
        return Ended(name, pid, code, self._revision, oom, why, output[-_ENDED_OUTPUT:], escaped)


class Ends:
    """Who ended by itself, and was not made anew since: the newest `ENDED_MAX` of them, for the next launcher."""

    def __init__(self) -> None:
        self._by_name: dict[str, Ended] = {}

    def all(self) -> tuple[Ended, ...]:
        """Return them, the oldest first."""
        return tuple(self._by_name.values())

    def take(self, child: GuardChild, exited: Exited) -> None:
        """Keep how a child ended, if it did so by itself."""
        ended = child.ended(exited)
        if ended is not None:
            self._by_name[child.name] = ended
            while len(self._by_name) > ENDED_MAX:
                del self._by_name[next(iter(self._by_name))]

    def forget(self, name: str) -> None:
        """Its process is made anew."""
        self._by_name.pop(name, None)


def say_cannot_spawn(spawn: Spawn, why: str) -> None:
    """Write into a child's log that there is no process, and why."""
    output = ChildOutput(_file_of(spawn))
    output.say(f"cannot be started: {why}")
    output.close()


class CannotSpawn(Exception):
    """There is no process; the text says why."""


def spawn_child(spawn: Spawn, mark: str, cgroup: Cgroup | None, *, tied: bool) -> GuardChild:
    """Make the process and hold it; `tied`: the kernel is to kill it when the guard ends. Raises CannotSpawn."""
    program = find_program(spawn.argv, spawn.cwd, spawn.env)
    # First, so that a scan finds it soon; below another launcher's child that one's mark stays too.
    above = spawn.env.get(TREE, "")
    environ = {**spawn.env, TREE: f"{above} {mark}".lstrip(), NAME: spawn.name}
    limited = cgroup is not None and spawn.memory_max is not None and cgroup.limit_memory(spawn.memory_max)
    opened: list[int] = []
    try:
        out, out_theirs = _pipe(opened)
        err, err_theirs = _pipe(opened)
        gate, gate_theirs = socket.socketpair()
        opened += [gate.detach(), gate_theirs.detach()]
        guard = os.getpid()
        pid = os.fork()
    except OSError as error:
        _close_all(opened)
        raise CannotSpawn(f"cannot make a process: {error.strerror}") from None
    if pid == 0:
        try:
            _prepare(spawn, cgroup, None if limited else spawn.memory_max, guard if tied else None)
            _take_streams(out_theirs, err_theirs, opened[-1])
        except BaseException as error:  # whatever it is: this must not go on as a second guard
            _give_up(opened[-1], _NOT_RUN, f"cannot be run: {error}")
        _become(program, spawn, environ)
    _close_all([out_theirs, err_theirs, opened[-1]])
    child = _made(spawn, pid, mark, (out, err), opened[-2])
    child.cgroup = cgroup
    child.is_data_limited = spawn.memory_max is not None and not limited
    return child


def find_program(argv: tuple[str, ...], cwd: str, env: dict[str, str]) -> str:
    """Return the path of the program to run. Raises CannotSpawn, which says what is missing and where we looked."""
    if not argv or not argv[0]:
        raise CannotSpawn("there is no command")
    if not os.path.isdir(cwd):
        raise CannotSpawn(f"no such folder: {cwd}")
    if "\0" in "".join(argv) + "".join(env) + "".join(env.values()) or any("=" in name for name in env):
        raise CannotSpawn("a NUL byte in the command or in the environment, or a variable's name with =")
    if "/" in argv[0]:
        path = os.path.join(cwd, argv[0])
        if why := _why_not(path):
            raise CannotSpawn(f"{why}: {path}")
        return path
    folders = env.get("PATH", _PATH)
    refused = None
    for folder in folders.split(":"):
        path = os.path.join(cwd, folder, argv[0])
        why = _why_not(path)
        if why is None:
            return path
        if os.path.exists(path):
            refused = refused or f"{why}: {path}"
    raise CannotSpawn(refused or f"no such program: {argv[0]} (looked in PATH {folders})")


def _why_not(path: str) -> str | None:
    """Say why a file cannot be run, as far as one can tell before; None if it can."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return "no such program" if error.errno in (errno.ENOENT, errno.ENOTDIR) else f"{error.strerror}"
    if not stat.S_ISREG(mode):
        return "not a program, but a folder" if stat.S_ISDIR(mode) else "not a program"
    return None if os.access(path, os.X_OK) else "not allowed to run it (chmod +x?)"


def _pipe(opened: list[int]) -> tuple[int, int]:
    ends = os.pipe()
    opened += ends
    os.set_blocking(ends[0], False)
    return ends


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _made(spawn: Spawn, pid: int, mark: str, pipes: tuple[int, int], gate_fd: int) -> GuardChild:
    gate = socket.socket(fileno=gate_fd)
    gate.setblocking(False)
    child = GuardChild(spawn, pid, start_of(pid) or 0, mark, gate)  # it is not reaped yet, so it is there
    child.pipes = {"out": pipes[0], "err": pipes[1]}
    return child


def _ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended, exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _file_of(spawn: Spawn) -> LogFile | None:
    return None if spawn.log_path is None else LogFile(spawn.log_path, spawn.log_bytes_max, spawn.log_kept)


# --- in the new process


def _prepare(spawn: Spawn, cgroup: Cgroup | None, data_max: int | None, tied_to: int | None) -> None:
    """Make what the program will find: as if it had been started from a shell, in a session of its own."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals():
        if signum not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(signum) not in (signal.SIG_DFL, None):
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if tied_to is not None:
        die_with_parent()
        if os.getppid() != tied_to:  # it died before that
            os._exit(_NOT_RUN)
    if cgroup is not None:
        cgroup.enter()
    raise_oom_score()
    if spawn.open_files is not None:
        limit_open_files(spawn.open_files)
    if data_max is not None:
        limit_data(data_max)
    os.chdir(spawn.cwd)


def _take_streams(out: int, err: int, gate: int) -> None:
    """Put nothing, the two pipes and the gate at 0 to 3, and close all else: a held child holds nothing of others."""
    null = os.open(os.devnull, os.O_RDONLY)
    moved = [_above(fd) for fd in (null, out, err, gate)]
    for place, fd in enumerate(moved):
        os.dup2(fd, place, inheritable=place < 3)
    for fd in [int(name) for name in os.listdir("/dev/fd")]:
        if fd > 3:
            try:
                os.close(fd)
            except OSError:
                pass  # the listing's own, closed since


def _above(fd: int) -> int:
    """Return a copy of it that none of the places 0 to 3 is."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def _become(program: str, spawn: Spawn, environ: dict[str, str]) -> NoReturn:
    """Wait at the gate, and become the program."""
    try:
        os.write(3, _HELD)
        if os.read(3, 1) != _GO:
            os._exit(_NOT_RUN)  # the guard is gone
        os.execve(program, spawn.argv, environ)
    except OSError as error:
        hint = ", does it begin with #! ?" if error.errno == errno.ENOEXEC else ""
        code = _NOT_FOUND if error.errno == errno.ENOENT else _NOT_RUN
        _give_up(3, code, f"{program} cannot be run: {error.strerror}{hint}")
    except BaseException as error:  # as above
        _give_up(3, _NOT_RUN, f"{program} cannot be run: {error}")


def _give_up(gate: int, code: int, why: str) -> NoReturn:
    try:
        os.write(gate, why.encode(errors="replace")[:1024])
    finally:
        os._exit(code)
