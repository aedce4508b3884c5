"""Guard: the one small process that is the parent of all children, and sees to it that nothing of them is left.

It makes processes, holds them at a gate, signals, reaps and reports, as guard_wire.py says; it decides nothing. One
loop, no threads, no asyncio. It is a subreaper: whoever loses its parent below it comes to it, and not to the system's
first process, so no daemon gets away by forking twice.

A child that ended is kept unreaped until nothing of it is left, so that its pid, and with it the name of its session
and group, belongs to nobody else meanwhile. When the connection to the launcher ends, everything is killed, until no
process descends from the guard; or, if the policy is `adopt`, children live on and the guard waits at its door for the
next launcher, until none is left.

SIGKILL of the guard itself: with the policy `kill` the kernel kills each child's first process too
(PR_SET_PDEATHSIG); what descends from those is the launcher's to kill (`descendants.kill_left_behind`). With `adopt`
all live on, on their own, and who writes gets SIGPIPE, as its output has no reader any more.

macOS has neither subreapers nor death signals nor cgroups: sessions and groups are all there is. Written, not yet run.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

if sys.platform != "win32":
    from quarterdeck.drivers import descendants
    from quarterdeck.drivers.child_output import Stream
    from quarterdeck.drivers.descendants import Process, bury, described
    from quarterdeck.drivers.guard_child import CannotSpawn, Ends, GuardChild, say_cannot_spawn, spawn_child
    from quarterdeck.drivers.guard_limits import CgroupRoom, speaks_of_memory, system_oom_kills
    from quarterdeck.drivers.guard_link import Link
    from quarterdeck.drivers.guard_outlet import Outlets, has_more
    from quarterdeck.drivers.guard_wire import (
        VERSION,
        End,
        Exited,
        Hello,
        Kill,
        Line,
        Ping,
        Policy,
        Pong,
        Ready,
        Release,
        Request,
        Signal,
        Spawn,
        Spawned,
        SpawnFailed,
        Trouble,
    )

assert sys.platform != "win32", "this is for Unix; on Windows there are job objects"

READ_BYTES: Final = 16 << 10
"""What is read of one pipe in one turn: who writes without end waits for its next turn like everybody."""
LOOK_AGAIN_S: Final = 0.02
"""How often we look while something is being killed: not every death below us is told to us."""
LOOKS_MAX: Final = 10
"""Looks at the table in a row, where somebody died during each; then those that we know are killed first."""
LINGER_S: Final = 0.25
"""The same, while the rest of a child's group is given time to end."""
END_PATIENCE_S: Final = 10.0
"""How long the end of everything may take; then what cannot be killed is left: another user's, or stuck in a disk."""
_DRAIN_BYTES_MAX: Final = 2 << 20


class Guard:
    """The guard's state and its loop; `sock` leads to the launcher."""

    def __init__(self, sock: socket.socket, *, cgroups: bool = True) -> None:
        self._children: dict[str, GuardChild] = {}
        self._ends = Ends()
        self._serial = 0
        self._is_over = False
        self._has_strays = False
        self._start = descendants.start_of(os.getpid()) or 0
        self._mark = f"{os.getpid()}.{self._start}"
        self._room = CgroupRoom() if cgroups else None
        self._selector = selectors.DefaultSelector()
        self._outlets = Outlets(self._selector)
        self._woken = _wake_on_child_exit()
        self._is_woken = False
        self._looked_at = 0.0
        self._selector.register(self._woken, selectors.EVENT_READ, self._wake)
        self._requests: dict[type[Request], Callable[[Any], None]] = {
            Spawn: self._spawn,
            Release: self._release,
            Ready: self._ready,
            Signal: self._signal,
            Kill: self._kill,
            Policy: self._set_policy,
            End: self._end,
            Ping: lambda _: self._link.report(Pong()),
        }
        self._link = Link(self._selector, self._take, self._hello)
        self._link.begin(sock)

    def run(self) -> None:
        """Serve until there is nothing left to do; then nothing descends from this process."""
        try:
            self._link.send()
            while self._is_needed:  # not even once, where the launcher was gone before we could greet it
                self._turn()
        finally:
            self._kill_everything()
            self._link.close()
            if self._room is not None:
                self._room.close()
        self._outlets.flush()  # last: nobody is to wait for whoever reads that

    def _turn(self) -> None:
        """Wait for something to happen, and do all that follows."""
        for key, _ in self._selector.select(self._patience_s()):
            if key.fd in self._selector.get_map():  # one before it may have closed it
                key.data()
        if self._is_woken or self._patience_s() == 0:
            self._is_woken = False
            self._reap()
            self._settle()
            self._looked_at = time.monotonic()
        self._link.send()
        if not self._link.is_full:
            self._listen_to_all()

    @property
    def _is_needed(self) -> bool:
        """Whether there is a launcher, or somebody who is to live on without one."""
        return not self._is_over and (self._link.is_up or (self._link.adopts and bool(self._children)))

    def _patience_s(self) -> float | None:
        """Return how long we may wait before we look at the processes again; None: until we are told something."""
        ending = [child for child in self._children.values() if child.is_ending]
        if not ending:
            return None
        look_again_s = LINGER_S if all(child.may_linger for child in ending) else LOOK_AGAIN_S
        return max(0.0, self._looked_at + look_again_s - time.monotonic())

    def _wake(self) -> None:
        _drain(self._woken)
        self._is_woken = True

    def _hello(self) -> Hello:
        room = None if self._room is None else self._room.folder
        living = tuple(child.described() for child in self._children.values() if child.is_held)
        boot = descendants.boot_of()
        return Hello(VERSION, os.getpid(), self._start, boot, self._mark, room, living, self._ends.all())

    def _take(self, request: Request) -> None:
        self._requests[type(request)](request)

    # --- what the launcher asks

    def _spawn(self, spawn: Spawn) -> None:
        there = self._children.get(spawn.name)
        if there is not None:
            self._link.report(SpawnFailed(spawn.name, f"is alive already (pid {there.pid})"))
            return
        self._serial += 1
        cgroup = None if self._room is None else self._room.make(str(self._serial))
        try:
            outlets = self._outlets.of(spawn)
            child = spawn_child(spawn, f"{self._mark}:{self._serial}", cgroup, tied=not self._link.adopts)
        except (CannotSpawn, OSError) as error:
            if cgroup is not None:
                cgroup.remove()
            say_cannot_spawn(spawn, str(error))
            self._link.report(SpawnFailed(spawn.name, str(error)))
            return
        child.oom_kills_before = system_oom_kills()
        child.outlets = outlets
        self._children[child.name] = child
        self._ends.forget(child.name)
        assert child.gate is not None
        self._selector.register(child.gate, selectors.EVENT_READ, partial(self._hear, child))
        self._listen_to(child)

    def _release(self, request: Release) -> None:
        if child := self._named(request.name, request.pid):
            child.release()

    def _ready(self, request: Ready) -> None:
        if child := self._named(request.name, request.pid):
            child.is_ready, child.is_watched = True, False

    def _signal(self, request: Signal) -> None:
        child = self._named(request.name, request.pid)
        if child is None:
            return
        signum = getattr(signal, request.signal, None)
        if not isinstance(signum, signal.Signals):
            self._link.report(Trouble(child.name, f"there is no signal {request.signal}"))
            return
        self._look()  # who descends from it is known best while all parents live
        child.is_asked_to_end |= request.ends
        try:
            os.killpg(child.pid, signum)
        except ProcessLookupError:
            if child.code is None:  # forked just now: it has no group yet
                os.kill(child.pid, signum)
        except OSError as error:
            self._link.report(Trouble(child.name, f"cannot be signalled: {error.strerror}"))

    def _kill(self, request: Kill) -> None:
        if child := self._named(request.name, request.pid):
            child.is_killed = self._is_woken = True  # before this turn ends

    def _set_policy(self, policy: Policy) -> None:
        self._link.set_policy(policy)

    def _end(self, _: End) -> None:
        self._is_over = True

    def _named(self, name: str, pid: int | None) -> GuardChild | None:
        child = self._children.get(name)
        return child if child is not None and pid in (None, child.pid) else None

    # --- what children say

    def _listen_to_all(self) -> None:
        for child in self._children.values():
            self._listen_to(child)

    def _listen_to(self, child: GuardChild) -> None:
        for stream, fd in child.pipes.items():
            if fd not in self._selector.get_map() and not self._must_wait(child, stream):
                self._selector.register(fd, selectors.EVENT_READ, partial(self._hear_output, child, stream))

    def _hear(self, child: GuardChild) -> None:
        """Something comes from its gate: it is there, or why it could not go on, or that the program has begun."""
        if child.gate is None:
            return
        fd, was_held = child.gate.fileno(), child.is_held
        if child.hear():
            self._selector.unregister(fd)
        if child.is_held and not was_held:
            self._link.report(Spawned(child.name, child.pid, child.start))

    def _hear_output(self, child: GuardChild, stream: Stream) -> None:
        if self._must_wait(child, stream):
            self._selector.unregister(child.pipes[stream])  # until there is room again
            return
        self._read_output(child, stream)

    def _must_wait(self, child: GuardChild, stream: Stream) -> bool:
        """Whether what it writes is not to be read just now: somebody has to take some of it first."""
        outlet = child.outlets.get(stream)
        return (child.is_watched and self._link.is_full) or (outlet is not None and outlet.is_full)

    def _read_output(self, child: GuardChild, stream: Stream) -> int:
        """Read once; returns how many bytes there were."""
        fd = child.pipes[stream]
        try:
            received = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return 0
        outlet = child.outlets.get(stream)
        if outlet is not None:
            outlet.take(stream, received, has_more=len(received) == READ_BYTES and has_more(fd))
        if not received or (outlet is not None and outlet.is_broken):
            self._close_pipe(child, stream)
        lines = child.output.take(stream, received)
        if begun := child.output.begun(stream) if len(received) < READ_BYTES else b"":
            lines = [*lines, begun]  # a prompt, which waits for its answer
        self._tell_lines(child, lines)
        return len(received)

    def _tell_lines(self, child: GuardChild, lines: list[bytes]) -> None:
        if child.is_watched:
            for line in lines:
                self._link.report(Line(child.name, child.pid, line.decode(errors="replace")))

    def _close_pipe(self, child: GuardChild, stream: Stream) -> None:
        fd = child.pipes.pop(stream)
        if fd in self._selector.get_map():
            self._selector.unregister(fd)
        os.close(fd)

    def _drain_output(self, child: GuardChild) -> None:
        """Read what is still in its pipes; all who could write to them are gone, or were handed over to strangers."""
        for stream in tuple(child.pipes):
            left = _DRAIN_BYTES_MAX
            while left > 0 and stream in child.pipes and (count := self._read_output(child, stream)):
                left -= count
            if stream in child.pipes:
                self._close_pipe(child, stream)
        self._tell_lines(child, child.output.finish())

    # --- the end of a child

    def _reap(self) -> None:
        """See which children have ended, and bury whoever else ended among our own."""
        mains = {child.pid for child in self._children.values()}
        for child in self._children.values():
            if child.code is None:
                child.code = _code_of(child.pid)
        while True:
            others = [pid for pid in descendants.children_of_mine() if pid not in mains]
            left = [pid for pid in others if not bury(pid)]
            if left == others:  # who was buried may have forked right before, and what it left is ours since
                break
        self._has_strays = bool(left)

    def _settle(self) -> None:
        """Bring those who ended, or are to end, to their end."""
        ending = [child for child in self._children.values() if child.is_ending]
        if not ending:
            return
        # Whoever descends from one that ended is our own child by now, or below one. None of those: nothing is left.
        if self._has_strays or any(child.code is None for child in ending):
            strays = self._look()
            if strays is None:
                return  # somebody died while we looked: the table proves nothing, and we look again
            for child in ending:
                self._kill_what_is_left(child, strays if len(self._children) == 1 else [])
        else:
            for child in ending:
                child.family.members = []
        for child in ending:
            if child.code is not None and all(member.pid == child.pid for member in child.family.members):
                self._bury_child(child)

    def _look(self) -> list[Process] | None:
        """Look who there is, bury who has ended of those, and return those of no family.

        The table is not read at one moment: one that ended meanwhile may have forked after the list of pids was taken.
        So only a look at which nobody is buried counts. None where somebody was, at each of several.
        """
        mains = {child.pid for child in self._children.values()}
        table = descendants.processes()
        for _ in range(LOOKS_MAX):
            ended = [process.pid for process in table.values() if process.is_dead and process.parent == os.getpid()]
            buried = [pid for pid in ended if pid not in mains and bury(pid)]
            if not buried:
                break
            table = descendants.processes()
        else:
            self._kill_known(table)
            return None
        families = [child.family for child in self._children.values()]
        strays = descendants.sort_out(table, os.getpid(), families)
        for child in self._children.values():
            if child.cgroup is not None:
                inside = {pid for pid in child.cgroup.members() if pid in table}
                inside -= {member.pid for member in child.family.members}
                child.family.take(table, [*child.family.members, *(table[pid] for pid in sorted(inside))])
        return [stray for stray in strays if not stray.is_dead]

    def _kill_known(self, table: descendants.Table) -> None:
        """Where they fork faster than we look: kill whoever there is of those that are to be killed."""
        families = [child.family for child in self._children.values()]
        descendants.sort_out(table, os.getpid(), families)
        for child in self._children.values():
            if child.is_ending and not child.may_linger:
                for process in child.family.living:
                    descendants.kill(process)

    def _kill_what_is_left(self, child: GuardChild, strays: list[Process]) -> None:
        """Kill all that lives of a child; strays go with the last one."""
        family = child.family
        left = family.living
        if child.may_linger and any(_is_inside(process, child) for process in left):
            return  # they were signalled too, and have until the kill
        if strays:
            family.take(descendants.processes(), [*family.members, *strays])
            left += strays
        for process in left:
            self._note_escaped(child, process)
            why = descendants.kill(process)
            if why is not None and process.pid != child.pid:  # another user's: we are not to wait for it
                text = described(process, family.known[process.key])
                child.escaped[process.key] = f"{text}, and cannot be killed: {why}"
                family.members.remove(process)
        if child.cgroup is not None:
            child.cgroup.kill()

    def _note_escaped(self, child: GuardChild, process: Process) -> None:
        """Keep who got out of its child's session, or outlived it unasked."""
        if process.pid == child.pid or process.key in child.escaped:
            return
        if (child.code is not None and not child.is_killed) or not _is_inside(process, child):
            child.escaped[process.key] = described(process, child.family.known[process.key])

    def _bury_child(self, child: GuardChild) -> None:
        """Nothing of it is left: take its last words, its pid, and report."""
        for _ in range(3):  # that it was held, why it could not go on, and the end: whatever was not read yet
            self._hear(child)
        self._drain_output(child)
        bury(child.pid)
        del self._children[child.name]
        assert child.code is not None
        tail = child.output.tail()
        oom, why = self._memory_verdict(child, tail)
        if child.cgroup is not None:
            child.cgroup.remove()
        why = child.why or why
        child.say_end(why)
        if child.is_held:
            exited = Exited(child.name, child.pid, child.code, oom, why, tail, child.leak_report())
            self._link.report(exited)
            self._ends.take(child, exited)
        else:
            self._link.report(SpawnFailed(child.name, child.why or f"it ended before it began ({child.code})"))

    def _memory_verdict(self, child: GuardChild, tail: str) -> tuple[bool, str | None]:
        """Say whether memory was what ended it, and how we know."""
        if child.cgroup is not None and child.cgroup.oom_kills():
            return True, "out of memory: over memory_max"
        if child.code == -signal.SIGKILL and not child.is_killed and system_oom_kills() > child.oom_kills_before:
            return True, "out of memory: the system killed it"
        if child.is_data_limited and child.code != 0 and not child.is_killed and speaks_of_memory(tail):
            return True, "out of memory, as its last lines say: it reached memory_max"
        return False, None

    # --- the end of everything

    def _kill_everything(self) -> None:
        """Kill whoever descends from us, again and again until nobody does."""
        until = time.monotonic() + END_PATIENCE_S
        for child in self._children.values():
            child.is_killed = True
        while time.monotonic() < until:
            self._reap()
            if not self._children and not descendants.children_of_mine():
                return
            living = [*(self._look() or []), *(p for child in self._children.values() for p in child.family.living)]
            if self._room is not None:
                self._room.kill()
            refused = [process for process in living if descendants.kill(process) is not None]
            for child in [child for child in self._children.values() if child.code is not None]:
                if all(process in refused for process in child.family.living):
                    self._bury_child(child)
            if not self._children and all(process in refused for process in living) and living:
                return
            self._nap()

    def _nap(self) -> None:
        """Wait until a child of ours ends, or for a moment."""
        self._woken.settimeout(LOOK_AGAIN_S)
        try:
            self._woken.recv(4096)
        except TimeoutError:
            pass


def main() -> None:
    """Run the guard with the arguments of `guard_wire.guard_command`."""
    _, fd, cgroups = sys.argv
    sock = socket.socket(fileno=int(fd))
    sock.set_inheritable(False)
    os.setsid()
    os.chdir("/")  # so that no file system stays busy on our account
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)  # the launcher decides when it is over
    descendants.set_subreaper(True)
    guard = Guard(sock, cgroups=cgroups == "cgroups")
    gc.collect()
    gc.freeze()  # what is there now stays: forks then share it
    guard.run()


def _is_inside(process: Process, child: GuardChild) -> bool:
    """Whether it is in the child's session or group, which its signals and its terminal reach."""
    return child.pid in (process.session, process.group)


def _wake_on_child_exit() -> socket.socket:
    """Return a socket that gets a byte whenever a child of ours ends."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    return ours


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        pass


if sys.platform == "linux":

    def _code_of(pid: int) -> int | None:
        """Return the exit code of a child that has ended, unreaped as it is; None while it lives. Source: waitid(2)."""
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

else:

    def _code_of(pid: int) -> int | None:
        """Return the exit code of a child that has ended, and reap it: there is no looking without taking."""
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status) if ended else None
