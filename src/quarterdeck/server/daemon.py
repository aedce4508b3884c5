"""The daemon: claims the folder and the address, builds the parts, serves until told to end, and leaves nothing behind.

Claim (two locks) -> Listener (our own bind) -> Engine + Hub + Acceptor -> serve -> quitting, dead, flush -> exit 0
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from quarterdeck.config import Config, values_of
from quarterdeck.core.saga_kinds import NO_SAGAS
from quarterdeck.core.state import State
from quarterdeck.drivers import orphans
from quarterdeck.drivers.clock import SystemClock
from quarterdeck.drivers.witness import Witness, unseen_by
from quarterdeck.errors import ConfigError
from quarterdeck.server import logs, signals
from quarterdeck.server.acceptor import Acceptor
from quarterdeck.server.engine import Engine
from quarterdeck.server.footprint import footprint
from quarterdeck.server.notify import NotifySocket
from quarterdeck.server.ports import Identity
from quarterdeck.server.rules import rules_of
from quarterdeck.slices.loaded import NONE, Loaded
from quarterdeck.transport import Listener
from quarterdeck.transport.activation import take_passed, the_only
from quarterdeck.transport.endpoint import Claim, address_of, default_data_dir
from quarterdeck.transport.folders import prepare_folder
from quarterdeck.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck.core.saga import Saga
    from quarterdeck.core.state import Rules
    from quarterdeck.deckfile import DeckFile
    from quarterdeck.schema.events import AnyEvent
    from quarterdeck.server.recording import Recording
    from quarterdeck.server.scrapes import Scrapes
    from quarterdeck.server.service import Service
    from quarterdeck.server.supervisor import Supervisor
    from quarterdeck.slices.slice import Slice

log = logging.getLogger("quarterdeck.server")


WARM_AFTER_S: Final = 0.5
"""When what is not needed to answer is imported and done: after the first clients, before the first trouble."""


JOURNAL_NAME: Final = "journal.sqlite3"
DAY_MS: Final = 86_400_000


class Listening(Struct, frozen=True):
    """What a launcher says once it listens."""

    version: str
    pid: int
    endpoint: str
    run_id: str


def run(
    config: Config,
    *,
    data_dir: str | os.PathLike[str] | None,
    endpoint: str | None,
    announce: Callable[[Listening], None],
    reads: Callable[[], DeckFile] | None = None,
    sagas: Sequence[str] = (),
    slices: Sequence[type[Slice[Any]]] = (),
    outlets: tuple[int, int] | None = None,
    hears: Callable[[Sequence[AnyEvent]], None] | None = None,
) -> int:
    """Serve until a signal or a `quit` ends it; returns the exit code: 0, or that of the child that `exit_from` names.

    `data_dir` None is this user's default folder, `endpoint` None the address that belongs to the folder. `announce`
    is called once the launcher listens. `reads` reads the configuration of its children, now and at a reload (SIGHUP).
    `sagas` name the application's own, `module:NAME` each, installed or in the current folder; `slices` are its own;
    both beside those of the file. `outlets` are the writing ends of two pipes, or twice of one: what children write to
    standard output and standard error is passed on to them; they stay open, and the last bytes may still be to come.
    `hears` is called with the events of each turn, and not to keep the launcher waiting.
    Raises: AlreadyRunning, EndpointRefused, ConfigError.
    """
    logs.configure(config.log_level, config.log_format)
    deck = reads() if reads is not None else None
    loaded = _loaded(config, deck, slices)
    own = _own_sagas(deck, sagas, loaded)
    folder = os.fspath(default_data_dir() if data_dir is None else data_dir) or os.curdir
    address = endpoint or address_of(folder, os.environ)
    notify = NotifySocket.take(os.environ, os.getpid())
    passed = the_only(take_passed(os.environ, os.getpid()), address)
    open_files = raise_descriptor_limit()
    checks = config.folder_check == "on"
    prepare_folder(os.path.dirname(address), checks_way=checks)
    claim = Claim.take(
        folder, address, version=__version__, pid=os.getpid(), settings=values_of(config), checks_folders=checks
    )
    try:
        if passed is None:
            claim.remove_stale_socket()
        listener = Listener(address, passed=None if passed is None else passed.fd)
        try:
            with asyncio.Runner(loop_factory=loop_factory(config.loop)) as runner:
                daemon = Daemon(config, listener, announce, folder, own, loaded)
                daemon.report_to(notify, hears)
                if deck is not None and reads is not None:
                    daemon.supervise(deck, reads, open_files, outlets)
                code = runner.run(daemon.serve())
        finally:
            listener.unlink()
            listener.close()
    finally:
        claim.release()
    return code


def loop_factory(wanted: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the event loop: uvloop where it is installed or wanted, else asyncio's own.

    Raises: ConfigError where uvloop is wanted and not installed.
    """
    if wanted == "asyncio" or sys.platform == "win32":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError as error:
        if wanted == "uvloop":
            raise ConfigError(f"loop=uvloop: {error}") from error
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def raise_descriptor_limit() -> int | None:
    """Allow as many open files as the system lets us: a connection is one (architecture, decision 5).

    Returns the limit before, which children get back; None where there is none.
    """
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # macOS refuses "unlimited"
        log.debug("the limit of open files stays as it is: %s", error)
    return soft


class Daemon:
    """One run of the launcher on one event loop."""

    def __init__(
        self,
        config: Config,
        listener: Listener,
        announce: Callable[[Listening], None],
        folder: str,
        sagas: Mapping[str, type[Saga]] = NO_SAGAS,
        loaded: Loaded = NONE,
    ) -> None:
        self._config = config
        self._loaded = loaded
        self._folder = folder
        self._sagas = sagas
        self._listener = listener
        self._announce = announce
        self._identity = Identity(os.getpid(), __version__, str(uuid.uuid4()))
        self._supervisor: Supervisor | None = None
        self._notify: NotifySocket | None = None
        self._hears: Callable[[Sequence[AnyEvent]], None] | None = None
        self._service: Service | None = None

    def report_to(self, notify: NotifySocket | None, hears: Callable[[Sequence[AnyEvent]], None] | None = None) -> None:
        """Tell systemd how this run fares, where it asks to be told, and somebody in this process what happens."""
        self._notify = notify
        self._hears = hears

    def supervise(
        self,
        deck: DeckFile,
        reads: Callable[[], DeckFile],
        open_files: int | None,
        outlets: tuple[int, int] | None = None,
    ) -> None:
        """Run the configured children, too."""
        from pathlib import Path

        from quarterdeck.server.supervisor import Supervisor

        self._supervisor = Supervisor(
            deck, Path(self._folder), self._listener.address, reads=reads, open_files=open_files, outlets=outlets
        )

    async def serve(self) -> int:
        """Serve until the run is dead and everybody was told; returns the exit code."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        acceptor = Acceptor(self._listener, self._config, loop, self._loaded.vocabulary)
        scrapes = self._scrapes()
        witness = _witness(self._config)
        clock = SystemClock()
        blind = witness.cannot_observe if witness is not None else ()
        rules = rules_of(self._config, clock.now(), blind, self._sagas)
        recording = self._recording(rules, clock)
        engine = Engine(
            self._config,
            self._identity,
            State(rules if recording is None else recording.rules, self._sagas, self._loaded),
            clock,
            loop=loop,
            door=acceptor,
            journal=recording,
            supervision=self._supervisor,
            on_stop=stopped.set,
            footprint=footprint,
        )
        if self._hears is not None:
            engine.tell_also(self._hears)
        signals.heed_quits(loop, engine.observe)
        if orphans.come_here():
            orphans.watch(loop)
        reload = None if self._supervisor is None else functools.partial(self._reload, loop)
        signals.heed_hangups(loop, engine.observe, reload)
        if self._supervisor is not None:
            signals.heed_for_child(loop, self._supervisor.pass_on)
            self._supervisor.begin(loop, lambda observation: engine.observe(observation, "child"))
            engine.turn()  # what is alive already is known before anybody can ask
        acceptor.serve(engine)
        if scrapes is not None:
            await scrapes.start(engine)
        if witness is not None:
            if unseen := unseen_by(witness):
                log.info(
                    "the %s witness does not see %s: from that nothing is concluded", witness.name, ", ".join(unseen)
                )
            engine.watch_with(witness)
        self._announce(Listening(__version__, os.getpid(), self._listener.address, self._identity.run_id))
        gc.freeze()  # what is there now stays: no collection is to walk through it
        gc.enable()  # a command line has it off while it starts
        self._tell_systemd(loop, engine)
        if recording is not None and recording.follows_a_run:
            loop.call_later(WARM_AFTER_S, _report_crash, self._journal_path, self._identity.run_id)
        await stopped.wait()
        acceptor.close()
        if scrapes is not None:
            scrapes.close()
        if witness is not None:
            witness.stop()
        await self._flush(engine, acceptor)
        engine.close()
        if recording is not None:
            recording.close()
        if self._supervisor is not None:
            await self._supervisor.end()
        if self._service is not None:
            self._service.close()
        return 0 if self._supervisor is None else self._supervisor.exit_code

    def _scrapes(self) -> Scrapes | None:
        """Who serves metrics, if anybody does; made before there is anything that a taken port would leave behind."""
        if self._config.metrics_port == 0:
            return None
        from pathlib import Path

        from quarterdeck.server.scrapes import Scrapes

        return Scrapes.prepare(self._config, Path(self._folder))

    def _recording(self, rules: Rules, clock: SystemClock) -> Recording | None:
        """What keeps this run, if it is to be kept."""
        sync = self._config.journal
        if sync == "off":
            return None
        from quarterdeck.log.journal import Journal, Retention
        from quarterdeck.server.recording import Recording

        limits = self._config.limits
        retention = Retention(limits.journal_bytes, int(limits.journal_days * DAY_MS))
        opens = functools.partial(Journal.open, self._journal_path, sync, retention, lambda: _file_stamp(clock.now()))
        elapsed_ns = clock.elapsed_ns
        own = self._loaded, self._sagas
        return Recording(
            opens, self._identity, rules, limits, clock.now(), *own, now_ms=clock.now_ms(), elapsed_ns=elapsed_ns
        )

    @property
    def _journal_path(self) -> Path:
        from pathlib import Path  # here: with all that it brings along it costs a start without a journal 4 %

        return Path(self._folder, JOURNAL_NAME)

    def _reload(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._supervisor is not None
        if self._service is not None:
            self._service.reloading()
        self._supervisor.reload()
        if self._service is not None:
            loop.call_soon(self._service.reloaded)  # after the turn that takes it in

    def _tell_systemd(self, loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
        if self._notify is not None:
            from quarterdeck.server.service import Service

            self._service = Service(self._notify, loop, engine.state, engine.turn, self._listener.address)
            engine.tell_also(self._service.told)

    async def _flush(self, engine: Engine, acceptor: Acceptor) -> None:
        """Let what is due go out for a bounded time, then close what is left (protocol, section 7)."""
        if not engine.peers:
            return
        try:
            await asyncio.wait_for(acceptor.empty.wait(), self._config.limits.shutdown_flush)
        except TimeoutError:
            log.warning("%d connections did not take their last lines in time", len(engine.peers))
            for peer in list(engine.peers):
                peer.abort()


def _own_sagas(deck: DeckFile | None, names: Sequence[str], loaded: Loaded) -> Mapping[str, type[Saga]]:
    """The application's sagas, if there are any: those of the file, then those given. Raises: ConfigError."""
    if not names and not (deck is not None and deck.sagas):
        return NO_SAGAS
    from pathlib import Path

    from quarterdeck.server.saga_loading import load_sagas

    return load_sagas(names, Path.cwd(), deck, loaded.kinds)


def _loaded(config: Config, deck: DeckFile | None, slices: Sequence[type[Slice[Any]]]) -> Loaded:
    """The application's slices, if there are any: those of the file, then those given. Raises: ConfigError."""
    if not slices and not (deck is not None and deck.slices):
        return NONE
    from quarterdeck.server.slicing import loaded_of, slices_of

    kinds = [*(slices_of(deck) if deck is not None else ()), *slices]
    limit = config.limits.slices
    if len(kinds) > limit:
        raise ConfigError(f"limits.slices is {limit}, and there are {len(kinds)}")
    return loaded_of(kinds)


def _report_crash(path: Path, run_id: str) -> None:
    """Say how the run before this one ended, if it crashed: in a thread of its own, which nobody waits for."""

    def report() -> None:
        try:
            from quarterdeck.server import crashes
        except (ImportError, OSError) as error:  # out of descriptors, for one
            log.warning("how the last run ended could not be read: %s", error)
            return
        crashes.report(path, run_id)

    threading.Thread(target=report, name="crash-report", daemon=True).start()


def _file_stamp(now: str) -> str:
    """A time as a part of a file's name."""
    return now[:19].replace("-", "").replace(":", "") + "Z"


def _witness(config: Config) -> Witness | None:
    """The witness that the configuration asks for. Raises: Unsupported where this machine has none such."""
    if config.witness == "none":
        return None
    if config.witness == "win32":
        from quarterdeck.drivers.win32 import win32_witness

        return win32_witness()
    from quarterdeck.drivers.x11 import x11_witness

    return x11_witness(os.environ.get("DISPLAY"), on_trouble=lambda what: log.warning("%s", what))
