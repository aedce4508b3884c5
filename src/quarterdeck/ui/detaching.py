"""Detaching: a launcher in the background, and what its starter sees of it until the application is up.

Rules: it has a session of its own, and its standard streams lead to a log in the data folder. Its starter is an
ordinary client of it, and told by its stream; if it ends before that, what it wrote is passed on. It goes on whatever
becomes of its starter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from quarterdeck.errors import AlreadyRunning, ConnectionLost, EndpointDenied, EndpointRefused, NoLauncher, Timeout
from quarterdeck.ui import own_log
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.foreground import name_of
from quarterdeck.ui.narrator import OF_CHILDREN, Narrator
from quarterdeck.ui.place import answer_s
from quarterdeck.ui.progress import Progress
from quarterdeck.ui.reaching import LOOK_AGAIN_S, silent
from quarterdeck.ui.screen import Screen
from quarterdeck.ui.text import safe
from quarterdeck.ui.waiting import settle

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.config import Config
    from quarterdeck.ui.application import Application
    from quarterdeck.ui.patience import Patience

ROOM_FOR_LAST_WORDS: Final = 1 << 16
"""Of what a launcher wrote that ended at once."""


class Detached:
    """A launcher that was started in the background. Raises: EndpointRefused where there can be none."""

    def __init__(self, application: Application, arguments: Sequence[str], config: Config) -> None:
        from quarterdeck.client import prepare_data_dir

        self._application = application
        self.log = application.folder / own_log.NAME
        prepare_data_dir(application.folder, checks=config.folder_check == "on")
        try:
            own_log.make_room(self.log, config.limits.launcher_log_bytes)
            opened = own_log.open_log(self.log)
        except OSError as error:
            kind = EndpointDenied if isinstance(error, PermissionError) else EndpointRefused
            raise kind(f"cannot write {self.log}: {error.strerror}") from error
        try:
            self._log_before = self.log.stat()
            self._process = subprocess.Popen(
                # -P: the current folder holds the application's modules, and none of ours
                [sys.executable, "-P", "-m", "quarterdeck", "up", "--log", str(self.log), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=opened,
                **_on_its_own(),
            )
        finally:
            os.close(opened)
        self.pid = self._process.pid

    def client(self) -> BlockingClient | None:
        """A client of it that follows its children from the first event on, once it listens; None where it did, and has
        ended again.

        Raises: AlreadyRunning where another one was faster; Failure where it ended before it listened.
        """
        address = self._application.address()
        while True:
            if self._process.poll() is not None:
                self._expect_begun()
                return None
            try:
                return self._follow(address)
            except (NoLauncher, ConnectionLost):
                time.sleep(LOOK_AGAIN_S)
            except Timeout:
                raise silent(address, answer_s()) from None

    def wait(self) -> int:
        """Its exit code, once it has ended; 128 + N if signal N ended it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def last_words(self) -> str:
        """What it wrote since it was started."""
        return own_log.read_since(self.log, self._log_before, ROOM_FOR_LAST_WORDS).decode(errors="replace")

    def _follow(self, address: str) -> BlockingClient:
        from quarterdeck.client import Cursor, connect_blocking

        client = connect_blocking(
            kind="tool", name="up", events=(), endpoint=address, reconnect=False, timeout_s=answer_s()
        )
        try:
            if sys.platform != "win32" and client.launcher_pid != self.pid:  # there python.exe may be a stand-in
                self._process.wait()
                raise AlreadyRunning(client.launcher_pid, client.launcher_version, address)
            client.subscribe(*OF_CHILDREN, since=Cursor(client.run_id, 0))
        except BaseException:
            client.close()
            raise
        return client

    def _expect_begun(self) -> None:
        """It has ended: raise why, if that was before it told anything of the application."""
        code, words = self.wait(), self.last_words()
        if name_of(self.pid) in words:
            return
        if code == Exit.ALREADY_RUNNING:
            raise AlreadyRunning(None, None, None)
        for line in words.splitlines():
            sys.stderr.write(f"{safe(line)}\n")
        raise Failure(f"the launcher did not start (exit code {code}); its log is {self.log}", max(code, 1))


def bring_up(
    application: Application, arguments: Sequence[str], screen: Screen, config: Config, patience: Patience
) -> int:
    """Start a launcher in the background, and tell of it until all are up or one has failed; returns the exit code.

    Raises: as `waiting.settle`; Failure where the launcher did not start; AlreadyRunning.
    """
    launcher = Detached(application, arguments, config)
    try:
        client = launcher.client()
        if client is None:
            for line in launcher.last_words().splitlines():
                screen.line(line)
            return _ended(launcher, screen)
        with client:
            if not patience.waits:
                screen.line(f"asked to start; launcher pid {launcher.pid}")
                return Exit.DONE
            narrator = Narrator(client, application.board(), Progress(screen), begun=patience.begun)
            stayed = settle(narrator, "ready", screen, patience, ends_with=application.deck.exit_from)
            if stayed is None:
                narrator.until_end()
    except KeyboardInterrupt:
        sys.stderr.write(f"quarterdeck: the launcher (pid {launcher.pid}) goes on; quarterdeck down ends it\n")
        raise
    if stayed is None:
        return _ended(launcher, screen)
    screen.line(f"{narrator.summary(stayed)}; launcher pid {launcher.pid}", "bold")
    return Exit.DONE


def _ended(launcher: Detached, screen: Screen) -> int:
    code = launcher.wait()
    said = f"the launcher has ended, exit code {code}; its log is {launcher.log}"
    if code:
        raise Failure(said, code)
    screen.line(said)
    return code


def _on_its_own() -> dict[str, Any]:
    """In a session of its own, which no terminal's end or Ctrl-C reaches."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
