"""Those who speak to the launcher: clients on the real session, hosts, and troublemakers who speak raw lines.

An actor is a little program drawn from the seed. What it is told is read twice: line by line by a Reader, as the
protocol has it, and as an application sees it, from the iterator of its session.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from quarterdeck.client.calls import Call
from quarterdeck.client.cursor import Cursor, RunChanged, Told
from quarterdeck.client.session import Phase, Session
from quarterdeck.client.terms import Terms
from quarterdeck.errors import QuarterdeckError, RemoteProtocolError
from quarterdeck.schema import commands as c
from quarterdeck.schema import replies as r
from quarterdeck.schema.events import EVENT_NAMES
from quarterdeck.schema.patterns import matches
from quarterdeck.schema.types import ProcessKind, Rect
from quarterdeck.server.hub import BOOKMARK_AFTER
from quarterdeck.sim.checker import Names, Reader, Violation, require
from quarterdeck.wire.codec import Unknown, decode_as, encode_line

if TYPE_CHECKING:
    from quarterdeck.sim.network import Wire
    from quarterdeck.sim.world import World

FILTERS: Final[tuple[tuple[str, ...], ...]] = (
    ("*",),
    ("*",),
    ("published",),
    ("process_*",),
    ("*_changed", "activated"),
    ("window_*", "hwnd_*", "saga_*"),
    (),
)
LABELS: Final = ("main", "settings", "about", "pad")
HANDLES: Final = (11, 12, 13, 14, 15)
SCREENS: Final = ((), (Rect(0, 0, 1000, 800),), (Rect(0, 0, 1000, 800), Rect(-800, 0, 0, 800)))
RECTS: Final = (Rect(0, 0, 100, 100), Rect(-700, 10, -600, 90), Rect(5000, 0, 5100, 90))


GOODBYE: Final = encode_line(c.Goodbye())


@lru_cache
def names_of(patterns: tuple[str, ...] | None) -> Names:
    """The event names that a subscription lets pass; None: all."""
    if patterns is None or "*" in patterns:
        return None
    return frozenset(name for name in EVENT_NAMES for pattern in patterns if matches(pattern, name))


class Connection:
    """One connection of an actor, with the reader that checks what comes over it."""

    def __init__(self, world: World, wire: Wire, pid: int, on_bytes: Callable[[bytes], None]) -> None:
        self.wire = wire
        self.launcher = world.launcher
        assert self.launcher is not None
        world.connections.append(self)
        self.reader = Reader(self.launcher.history, pid, BOOKMARK_AFTER)
        self._world = world
        self._on_bytes = on_bytes
        self._partial = b""
        self._said_goodbye = False
        wire.on_bytes = self._read

    def send(self, data: bytes) -> None:
        """Write, and note which subscriptions that asks for."""
        for line in data.split(b"\n"):
            if b"subscribe" in line:
                self._note(line)
        self._said_goodbye = self._said_goodbye or data.endswith(GOODBYE)
        self.wire.send(data)

    def ended(self) -> None:
        """All is over: a goodbye that was sent was not taken for a crash. Raises: Violation."""
        joined_at, pid = self.reader.joined_at, self.reader.pid
        if self._said_goodbye and joined_at is not None and self.launcher is not None:
            exits = [why for version, why in self.launcher.history.exits.get(pid, ()) if version > joined_at]
            is_so = not exits or exits[0] in ("goodbye", "evicted")
            require(is_so, f"pid {pid} said goodbye, and it was told as {exits[:1]}")

    def _note(self, line: bytes) -> None:
        members: dict[str, Any] = decode_as(line, dict)
        wanted = members if members["cmd"] == "subscribe" else members.get("subscribe")
        if wanted is not None:
            is_gap = wanted.get("slow") in (None, "gap")
            self.reader.is_gap_wanted = is_gap and (self.reader.is_gap_wanted or not self.reader.wanted)
            id = members.get("id") if members["cmd"] == "subscribe" else None
            patterns = wanted.get("events")
            jumps = wanted.get("since") is not None or bool(wanted.get("snapshot"))
            names = names_of(None if patterns is None else tuple(patterns))
            self.reader.will_subscribe(id, names, jumps=jumps)
            if members["cmd"] == "register":  # the reply to the inner one echoes the id of the outer
                self.reader.will_subscribe(members.get("id"), names, jumps=jumps)

    def _read(self, data: bytes) -> None:
        self._world.note(data)
        assert self.launcher is not None
        self.reader.may_lag = self.launcher.was_failing
        self.reader.held_after = None if self.launcher.has_ended else self.launcher.engine.history.floor
        whole, newline, rest = (self._partial + data).rpartition(b"\n")
        self._partial = rest
        self._world.check(lambda: self.reader.read(whole + newline))
        self._on_bytes(data)


class Client:
    """A client on the real session: it comes back after every cut, and goes on where it was."""

    def __init__(self, world: World, draw: random.Random, pid: int, kind: ProcessKind, **terms: Any) -> None:
        self.world = world
        self.draw = draw
        self.pid = pid
        self.session = Session(Terms(kind=kind, pid=pid, version="1", name=f"{kind}-{pid}", **terms))
        self.is_over = False
        self.connection: Connection | None = None
        self._inbox = self.session.follower.events.open(("*",))
        self._directives = self.session.directives.open(("*",))
        self._run_id: str | None = None
        self._at = 0
        self._may_go_back = 0  # how often it asked for what it had seen
        self._has_switched = False  # it subscribed anew: its reader knows to what
        self._calls: list[Call] = []
        world.later(50, self._connect)
        world.later(100, self._live)

    # --- its connection

    def _connect(self) -> None:
        if self.is_over or self.session.phase is not Phase.AWAY:
            return
        wire = self.world.connect()
        if wire is None:
            self.world.later(500, self._connect)
            return
        self.connection = Connection(self.world, wire, self.pid, self._received)
        wire.on_end = self._lost
        self.session.begin()
        self.flush()

    def _received(self, data: bytes) -> None:
        if self.is_over:
            return
        self.session.receive(data)
        self._take_told()
        self.flush()
        while (directive := self._directives.take()) is not None:
            if not isinstance(directive, Unknown):  # an application's own: here is none
                self.directed(directive)
        if self.session.hang_up and self.connection is not None and self.connection.wire.is_open:
            self.connection.wire.kill()
            self._lost()
        self._look_at_end()

    def _lost(self) -> None:
        self.session.lost()
        self._look_at_end()
        if not self.is_over:
            self.world.later(200, self._connect)

    def _look_at_end(self) -> None:
        if self.session.ended and not self.is_over:
            self.is_over = True
            error = self.session.error
            if isinstance(error, RemoteProtocolError):
                self.world.fail(Violation(f"{self.session.terms.name}: {error}"))
            if self.connection is not None:
                self.connection.wire.kill()
            self.world.left(self)

    def flush(self) -> None:
        """Write what the session wants written."""
        if self.connection is not None:
            data = self.session.take_bytes()
            if data and self.connection.wire.is_open:
                self.connection.send(data)

    def kill(self) -> None:
        """Its process is killed."""
        if not self.is_over:
            self.is_over = True
            if self.connection is not None:
                self.connection.wire.kill()
            self.world.left(self)

    # --- what an application sees

    def _take_told(self) -> None:
        while (told := self._inbox.take()) is not None:
            self.world.check(lambda told=told: self._look_at(told))  # type: ignore[misc]  # mypy cannot infer a default's type

    def _look_at(self, told: Told) -> None:
        """Each version once and in order; where one is missing, that was told. Raises: Violation."""
        name = self.session.terms.name
        if isinstance(told, RunChanged):
            require(told.new_run_id != told.old_run_id, f"{name}: the same run is said to have changed")
            self._run_id, self._at = told.new_run_id, told.snapshot.version
            return
        if self._run_id is None:
            self._run_id = self.session.follower.run_id
        if isinstance(told, r.Lagged):
            require(told.from_ > self._at or self._may_go_back, f"{name}: told to have missed what it had: {told}")
            self._at = told.to
            return
        version = told.version or 0
        if self._may_go_back and version <= self._at:
            self._at, self._may_go_back = version, self._may_go_back - 1
            return
        require(version > self._at, f"{name}: version {version} came after {self._at}")
        is_whole = self.session.terms.patterns == ("*",) and self._at and not self._has_switched
        require(not is_whole or version == self._at + 1, f"{name}: {version} came after {self._at}, and no word of it")
        self._at = version

    @property
    def _is_there(self) -> bool:
        """Whether it is registered with the launcher that runs."""
        launcher = None if self.connection is None else self.connection.launcher
        is_connected = launcher is not None and launcher is self.world.launcher
        return is_connected and not self.is_over and self.session.phase is Phase.READY

    def unanswered(self) -> list[c.AnyCommand]:
        """What it asked the launcher that runs, and has no answer to yet."""
        return [call.command for call in self._calls if not call.done] if self._is_there else []

    def settled(self) -> None:
        """Nothing is under way any more: all that was asked was answered, and the mirror is the state.

        Raises: Violation.
        """
        connection, launcher = self.connection, self.world.launcher
        if connection is None or launcher is None or not self._is_there:
            return
        name = self.session.terms.name
        connection.reader.settled()
        unanswered = self.unanswered()
        require(not unanswered, f"{name}: never answered: {unanswered[:5]}")
        mirror = self.session.follower.mirror
        if mirror is not None:
            folded, state = encode_line(mirror.snapshot()), encode_line(launcher.engine.snapshot())
            require(folded == state, f"{name}: its mirror is {folded!r}, the state {state!r}")

    # --- what it does

    def _live(self) -> None:
        """Do something now and then."""
        if self.is_over or self.world.is_calm:
            return
        if self.session.phase is Phase.READY:
            for _ in range(self.draw.choice((1, 1, 1, 3, 20))):
                self.act()
            self.flush()
            self._look_at_end()
        self.world.later(self.draw.choice((20, 200, 3000)), self._live)

    def act(self) -> None:
        """One act."""
        draw = self.draw
        chance = draw.random()
        if chance < 0.35:
            self.say(c.Publish(topic="t", payload=draw.choice((None, 1, "x" * draw.randint(0, 300)))))
        elif chance < 0.5:
            self.say(c.ReportStatus(status={"n": draw.randint(0, 9)}))
        elif chance < 0.65:
            self.say(c.Ping(nonce=draw.getrandbits(64)))
        elif chance < 0.72:
            self.say(c.GetSnapshot())
        elif chance < 0.78:
            self.say(c.GetEvents(since=0, limit=draw.randint(1, 50)), asks=True)
        elif chance < 0.84:
            self._subscribe()
        elif chance < 0.9:
            self._stall()
        elif chance < 0.93:
            self._cut()
        elif chance < 0.95:
            self.session.leave()
        elif chance < 0.97:
            self.kill()
        elif self.session.terms.kind == "tool":
            self._command_children()

    def say(self, command: c.Command, *, asks: bool | None = None) -> None:
        """Send a command, with an id or without one."""
        try:
            if self.draw.random() < 0.5 if asks is None else asks:
                self._calls.append(self.session.ask(command))
            else:
                self.session.tell(command)
        except QuarterdeckError:
            self._look_at_end()  # it was leaving

    def _subscribe(self) -> None:
        if self.session.terms.mirror:
            return
        follower = self.session.follower
        wanted = self.draw.choice(FILTERS) or None
        since = self.draw.choice((None, Cursor(follower.run_id or "", max(0, follower.cursor.version - 5))))
        self._may_go_back += 1
        self._has_switched = True
        command = self.session.subscribe(wanted or (), since, self.draw.choice((None, "gap", "snapshot")), None)
        self.say(command, asks=True)

    def _stall(self) -> None:
        if self.connection is not None:
            wire = self.connection.wire
            wire.stall(True)
            self.world.later(self.draw.choice((100, 20_000)), lambda: wire.stall(False))
            self.world.stalled.append(wire)

    def _cut(self) -> None:
        """The connection breaks; the process lives on."""
        if self.connection is not None and self.connection.wire.is_open:
            self.flush()
            self.connection.wire.kill()
            self._lost()

    def _command_children(self) -> None:
        name = self.draw.choice(("db", "web", "worker", "nobody"))
        kind = self.draw.choice((c.StartProcess, c.StopProcess, c.RestartProcess))
        self.say(kind(name=name))

    def directed(self, directive: r.Directive) -> None:
        """The launcher asks for something: a client takes note."""


class Host(Client):
    """The application's main process: windows, handles, pool, and answers to what is asked of it, or none."""

    def act(self) -> None:
        """One act."""
        if self.draw.random() < 0.75:
            self.say(self._report())
        else:
            super().act()

    def _report(self) -> c.Command:
        draw = self.draw
        label, hwnd = draw.choice(LABELS), draw.choice(HANDLES)
        make: Callable[[], c.Command] = draw.choice(
            (
                lambda: c.ReportWindowOpened(label=label, kind="full_instance", parent_label=None),
                lambda: c.ReportWindowClosed(label=label),
                lambda: c.ReportPoolWindowAdded(label=label),
                lambda: c.ReportPoolWindowPromoted(label=label),
                lambda: c.ReportHwndOpened(hwnd=hwnd, class_name="", title="", label_hint=draw.choice((None, label))),
                lambda: c.ReportHwndDestroyed(hwnd=hwnd),
                lambda: c.ReportHwndVisibilityChanged(hwnd=hwnd, visible=draw.random() < 0.5),
                lambda: c.ReportHwndForegroundChanged(hwnd=hwnd),
                lambda: c.ReportHwndPositionChanged(hwnd=hwnd, rect=draw.choice(RECTS)),
                lambda: c.ReportMonitorTopologyChanged(rects=draw.choice(SCREENS)),
                lambda: c.ReportHostCounts(windows=draw.randint(0, 3), pool=draw.randint(0, 2)),
                lambda: c.ReportBackendWindowIdRegistered(label=label, window_id="7"),
                lambda: c.ReportBackgroundServiceEnabled(enabled=draw.random() < 0.3),
            )
        )
        return make()

    def directed(self, directive: r.Directive) -> None:
        """Answer late, wrongly, or never."""
        chance = self.draw.random()
        if chance < 0.7:
            self.world.later(self.draw.choice((50, 5000, 40_000)), lambda: self._answer(directive))

    def _answer(self, directive: r.Directive) -> None:
        draw = self.draw
        if self.is_over or self.session.phase is not Phase.READY:
            return
        if not isinstance(directive, r.Shutdown | r.ProbeUiThread) and draw.random() < 0.2:
            self.say(c.ReportSagaActionFailed(saga_id=directive.saga_id, reason="no"))
        elif isinstance(directive, r.SpawnPoolWindow):
            self.say(c.ReportPoolWindowAdded(label=draw.choice(LABELS), saga_id=directive.saga_id))
        elif isinstance(directive, r.ReapPanes):
            self.say(c.ReportPanesReaped(label=directive.label, saga_id=directive.saga_id))
        elif isinstance(directive, r.DrainPoolIfLast):
            was_last = draw.random() < 0.5
            self.say(c.ReportPoolDrainDecision(label=directive.label, was_last=was_last, saga_id=directive.saga_id))
        elif isinstance(directive, r.ProbeUiThread):
            self.say(c.ReportUiThreadAlive(nonce=directive.nonce))
        self.flush()


class Troublemaker:
    """Speaks raw lines: garbage, half a line, a flood, nothing at all; and may never read."""

    def __init__(self, world: World, draw: random.Random, pid: int) -> None:
        self.world = world
        self.draw = draw
        self.pid = pid
        self.connection: Connection | None = None
        world.later(3000, self._begin)

    def _begin(self) -> None:
        wire = self.world.connect()
        if wire is None or self.world.is_calm:
            return
        connection = self.connection = Connection(self.world, wire, self.pid, _ignore)
        draw = self.draw
        what = draw.choice(("garbage", "half", "flood", "silent", "deaf", "gone", "half-closed", "twice"))
        register = encode_line(c.Register(kind="srv", pid=self.pid, version="1"))
        if what == "garbage":
            connection.wire.send(bytes(draw.getrandbits(8) for _ in range(draw.randint(1, 400))) + b"\n")
        elif what == "half":
            connection.send(register + b'{"cmd":"ping","no')
        elif what == "flood":
            connection.send(
                register + b"".join(encode_line(c.Ping(nonce=1, id=id)) for id in range(draw.randint(1, 300)))
            )
        elif what == "deaf":
            connection.send(register)
            wire.stall(True)
            self.world.stalled.append(wire)
        elif what == "gone":
            connection.send(register + encode_line(c.Publish(topic="last words", payload=None)))
            wire.kill()
        elif what == "half-closed":
            connection.send(register + b"".join(encode_line(c.GetSnapshot(id=id)) for id in range(3)))
            connection.reader.has_ended = True
            wire.end()
        elif what == "twice":
            connection.send(register + register)
        if what != "gone":
            self.world.later(30_000, self._leave)

    def _leave(self) -> None:
        if self.connection is not None:
            self.connection.wire.kill()
        if not self.world.is_calm:
            self.world.later(5000, self._begin)


def _ignore(data: bytes) -> None:
    """It does not care for answers; its reader does."""
