"""Program: a child process that is held at a gate until it may begin.

Rules: its pid is known before its first instruction runs, so that it can be registered before it does anything, and a
program whose registration is refused never ran. Signals may come at any time, also while it is held. The gate is a
pipe, read by the forked child before it becomes the program: the parent's end, or the parent's own, closes it, and
the child goes.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from quarterdeck.ui.exits import Exit, Failure


def refuse_missing(file: str) -> None:
    """Refuse a program that is not there, before anything is begun for it. Raises: Failure, as shells code it."""
    if shutil.which(file) is None:
        is_there = os.path.dirname(file) and os.path.exists(file)
        raise cannot_run(file, PermissionError(0, "it may not be executed") if is_there else FileNotFoundError())


def cannot_run(file: str, error: OSError) -> Failure:
    """What is said of a program that cannot be run."""
    if isinstance(error, FileNotFoundError):
        what = f"cannot run {file}: there is no such program; check the name and PATH"
        if len(file.split()) > 1:
            what = (
                f"cannot run {file!r}: there is no program of that name; write its words apart (-- {file}) or, "
                f"where it is a shell's line, -- sh -c {shlex.quote(file)}"
            )
        return Failure(what, Exit.NOT_FOUND)
    is_path = os.path.dirname(file)
    if is_path and os.path.isdir(file):
        return Failure(f"cannot run {file}: it is a folder", Exit.NOT_EXECUTABLE)
    if is_path and os.path.exists(file) and not os.access(file, os.X_OK):
        return Failure(f"cannot run {file}: it is not executable: chmod +x {shlex.quote(file)}", Exit.NOT_EXECUTABLE)
    return Failure(
        f"cannot run {file}: {error.strerror}; name a program that this system can execute", Exit.NOT_EXECUTABLE
    )


if sys.platform == "win32":
    # Written and type-checked, not yet run. Windows has no fork: the program begins at once, and is ended where it
    # may not be registered.

    class Program:
        """A program that was started; made by `hold`."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            self._process = process
            self.pid = process.pid

        @classmethod
        def hold(cls, argv: Sequence[str], environ: Mapping[str, str]) -> Program:
            """Start the program. Raises: OSError where there is none."""
            return cls(subprocess.Popen(list(argv), env=dict(environ)))

        def release(self) -> None:
            """Nothing to do: it runs."""

        def cancel(self) -> None:
            """End the program."""
            self._process.kill()
            self._process.wait()

        @property
        def ended(self) -> bool:
            """Whether the program has ended."""
            return self._process.poll() is not None

        def watch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
            """Nothing to forward: a console's Ctrl-C reaches every process of the console."""
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        async def wait(self) -> int:
            """Wait for the program's end; returns its exit code."""
            return await asyncio.to_thread(self._process.wait)

else:
    FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    class Program:
        """A program that is held or runs; made by `hold`."""

        def __init__(self, pid: int, gate: int, failure: int) -> None:
            self.pid = pid
            self._gate = gate
            self._failure = failure
            self._code: asyncio.Future[int] | None = None

        @classmethod
        def hold(cls, argv: Sequence[str], environ: Mapping[str, str]) -> Program:
            """Fork a child that waits for `release`. To be called before there are threads."""
            gate_read, gate = os.pipe()
            failure, failure_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(gate)
                _become(argv, environ, gate_read, failure_write)
            os.close(gate_read)
            os.close(failure_write)
            return cls(pid, gate, failure)

        def release(self) -> None:
            """Let the program begin. Raises: OSError where it cannot be executed; the child ends by itself then."""
            try:
                os.write(self._gate, b"\n")
            except BrokenPipeError:  # a signal ended it at the gate: `wait` says so
                pass
            os.close(self._gate)
            number = os.read(self._failure, 16)  # empty once exec has closed the child's end
            os.close(self._failure)
            if number:
                raise OSError(int(number), os.strerror(int(number)))

        def cancel(self) -> None:
            """End the child that was never released."""
            os.close(self._gate)
            os.close(self._failure)
            if not self.ended:
                _, status = os.waitpid(self.pid, 0)
                if self._code is not None:
                    self._code.set_result(os.waitstatus_to_exitcode(status))

        @property
        def ended(self) -> bool:
            """Whether the program is known to have ended."""
            return self._code is not None and self._code.done()

        def watch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
            """Notice the child's end from now on, and forward what asks us to end."""
            self._code = loop.create_future()
            loop.add_signal_handler(signal.SIGCHLD, self._reap)
            for number in FORWARDED:
                loop.add_signal_handler(number, self._forward, number)
            self._reap()  # it may have ended before

        async def wait(self) -> int:
            """Wait for the end of a child whose signals are watched; returns its code, or minus the signal's number."""
            assert self._code is not None
            return await self._code

        def _reap(self) -> None:
            if self._code is None or self._code.done():
                return
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code.set_result(os.waitstatus_to_exitcode(status))

        def _forward(self, number: signal.Signals) -> None:
            self._reap()  # a pid that was reaped may be another process by now
            if not self.ended and not (number == signal.SIGINT and _at_terminal()):
                os.kill(self.pid, number)

    def _at_terminal() -> bool:
        """Whether a Ctrl-C reaches us and the child both: the terminal sends it to the whole foreground group."""
        for descriptor in range(3):
            try:
                return os.tcgetpgrp(descriptor) == os.getpgrp()
            except OSError:
                continue
        return False

    def _become(argv: Sequence[str], environ: Mapping[str, str], gate: int, failure: int) -> None:
        """In the child: wait at the gate, then become the program. Never returns."""
        try:
            _restore_signals()
            if os.read(gate, 1):
                os.execvpe(argv[0], list(argv), dict(environ))
        except OSError as error:
            os.write(failure, str(error.errno).encode())
        finally:
            os._exit(127)

    def _restore_signals() -> None:
        """Undo what Python changed; what we inherited as ignored stays so (nohup)."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
