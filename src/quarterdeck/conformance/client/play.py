"""Play: one scene with the client under check: our socket, its process, and what goes on between them.

The client's command is started anew for each scene, in a process group of its own, which is ended with the scene.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from quarterdeck.conformance.client.caller import Caller
from quarterdeck.conformance.client.judge import ENDPOINT, WHOLE_LINES, Judge
from quarterdeck.conformance.client.understudy import Understudy
from quarterdeck.conformance.rules import Breach, Ledger, NotApplicable, Rule
from quarterdeck.conformance.transcript import Transcript
from quarterdeck.transport import Listener

END_S: Final = 3.0
OUTPUT_LINES: Final = 5


class Terms:
    """How long to wait: `patience_s` for what must come, `settle_s` to see what a client does."""

    def __init__(self, patience_s: float, settle_s: float, is_decided: Callable[[], bool]) -> None:
        self.patience_s = patience_s
        self.settle_s = settle_s
        self.is_decided = is_decided


class Play:
    """The launcher's part in one scene."""

    def __init__(self, argv: Sequence[str], ledger: Ledger, terms: Terms) -> None:
        self.terms = terms
        self.understudy = Understudy()
        self.callers: list[Caller] = []
        self.writes: Callable[[bytes], bytes] = lambda line: line
        self.in_crumbs = False
        self._argv = argv
        self._folder = tempfile.TemporaryDirectory(prefix="qd-")
        self._transcript = Transcript()
        self._judge = Judge(ledger, self)
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self._listener: Listener | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[bytes] | None = None

    # --- Judge's evidence, callers' listener

    def __iter__(self) -> Iterator[str]:
        return iter(self._transcript.shown())

    def heard(self, caller: Caller, line: bytes) -> None:
        """A client's line: judged, and carried out where a launcher would."""
        command = self._judge.of(caller, line)
        if command is not None and caller.is_open:
            if command["cmd"] == "register":
                caller.registers.append(command)
            self.understudy.take(caller, command)
        self._changed.set()

    def told(self, caller: Caller, version: int) -> None:
        """The client was told of a version of this run."""
        told = self._judge.told
        told[self.understudy.run_id] = max(version, told.get(self.understudy.run_id, 0))

    def ended(self, caller: Caller, torn: bytes) -> None:
        """A connection ended."""
        self._judge.hold(WHOLE_LINES, not torn, "a newline at the end of the last line", repr(torn[:200]))
        self.understudy.left(caller)
        self._changed.set()

    # --- The scene

    async def begin(self) -> None:
        """Listen, and start the client's command."""
        self.listen()
        environ = {**os.environ, "QUARTERDECK_ENDPOINT": self._address()}
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=sys.platform != "win32",
        )
        assert self._process.stdout is not None
        self._output = asyncio.create_task(self._process.stdout.read())

    def _address(self) -> str:
        if sys.platform == "win32":
            return rf"\\.\pipe\quarterdeck-conform-{os.path.basename(self._folder.name)}"
        return os.path.join(self._folder.name, "s.sock")

    def listen(self) -> None:
        """Take connections."""
        self._listener = Listener(self._address())
        self._listener.start(asyncio.get_running_loop(), self._accept)

    def stop_listening(self) -> None:
        """Take no more connections."""
        if self._listener is not None:
            self._listener.stop(asyncio.get_running_loop())
            self._listener.unlink()
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        while self._listener is not None and (link := self._listener.accept()) is not None:
            caller = Caller(chr(ord("A") + len(self.callers) % 26), link, self, self._transcript)
            caller.writes, caller.in_crumbs = self.writes, self.in_crumbs
            self.callers.append(caller)
            loop = asyncio.get_running_loop()
            task = loop.create_task(link.start(loop, functools.partial(_same, caller)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def registered(self) -> Caller:
        """The client's connection, once it registered. Raises: Breach where it does not."""
        if not await self.happens(lambda: any(caller.is_registered for caller in self.callers), self.terms.patience_s):
            raise Breach(
                f"a client that registers within {self.terms.patience_s:g} s",
                f"{len(self.callers)} connections{self._how_it_ended()}",
                ENDPOINT,
            )
        self.hold(ENDPOINT, True, "", "")
        return next(caller for caller in self.callers if caller.is_registered)

    async def asks_again(self) -> Caller:
        """The first connection after the first one that asked to register. Raises: Breach where there is none."""
        if not await self.happens(lambda: any(caller.registers for caller in self.callers[1:]), self.terms.patience_s):
            raise Breach("`register` on the next connection", f"none{self._how_it_ended()}", ENDPOINT)
        return next(caller for caller in self.callers[1:] if caller.registers)

    async def comes_back(self, number: int) -> bool:
        """Whether the client connects again and says something; `number` connections were before."""
        return await self.happens(lambda: len(self.callers) > number, self.terms.patience_s / 2)

    async def happens(self, is_so: Callable[[], bool], within_s: float) -> bool:
        """Whether something becomes true in time; at the end of the client's process no more can."""
        try:
            async with asyncio.timeout(within_s):
                while not is_so():
                    self._changed.clear()
                    ended = asyncio.ensure_future(self._process.wait()) if self._process is not None else None
                    waits = [asyncio.ensure_future(self._changed.wait()), *([ended] if ended else [])]
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for wait in waits:
                            wait.cancel()
                    if self.has_ended:
                        await asyncio.sleep(0.05)  # what it sent last is still on its way
                        return is_so()
        except TimeoutError:
            pass
        return is_so()

    async def settle(self) -> None:
        """Let the client take what it was told."""
        await self.happens(self.terms.is_decided, self.terms.settle_s)

    @property
    def has_ended(self) -> bool:
        """Whether the client's process has ended."""
        return self._process is not None and self._process.returncode is not None

    @property
    def exit_code(self) -> int:
        """How the client's process ended: its code, or minus the signal's number."""
        assert self._process is not None
        assert self._process.returncode is not None
        return self._process.returncode

    @property
    def last_told(self) -> int:
        """The greatest version that the client was told in this run."""
        return self._judge.told.get(self.understudy.run_id, 0)

    def copes(self, caller: Caller) -> bool:
        """Whether the client goes on as if nothing were wrong: still connected, or gone in good order."""
        if self.has_ended:
            return self.exit_code == 0
        return caller.is_open or caller.said_goodbye

    def hold(self, rule: Rule, is_upheld: bool, expected: str, got: str) -> bool:
        """Enter whether a rule held."""
        return self._judge.hold(rule, is_upheld, expected, got + ("" if is_upheld else self._how_it_ended()))

    def need_staying(self, caller: Caller) -> None:
        """Raises: NotApplicable where the client left by itself."""
        if self.has_ended or not caller.is_open:
            raise NotApplicable("the client leaves by itself before that")

    def _how_it_ended(self) -> str:
        return f"; its process ended with {self.exit_code}" if self.has_ended else ""

    async def ask_to_end(self) -> None:
        """Ask the client's process to end, as a user would, and wait for that."""
        if self._process is not None and not self.has_ended:
            self._process.terminate()
            await self.happens(lambda: self.has_ended, END_S)

    async def end(self) -> None:
        """End what still runs, and put everything away."""
        if self._process is not None:
            if not self.has_ended:
                self._kill()
            await self._process.wait()
            if self._output is not None:
                await asyncio.wait([self._output], timeout=END_S)
                self._output.cancel()
        for caller in self.callers:
            caller.close()
        self.stop_listening()
        await asyncio.sleep(0)
        self._folder.cleanup()

    def _kill(self) -> None:
        assert self._process is not None
        if sys.platform == "win32":
            self._process.kill()
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own group: all that it started, and nobody else
        except ProcessLookupError:
            pass

    def evidence(self) -> tuple[str, ...]:
        """The last lines, and what the client printed last."""
        printed = b""
        if self._output is not None and self._output.done() and not self._output.cancelled():
            printed = self._output.result()
        lines = printed.decode("utf-8", "replace").splitlines()[-OUTPUT_LINES:]
        return (*self._transcript.shown(), *(f"out {line}" for line in lines))


def _same(caller: Caller) -> Caller:
    return caller
