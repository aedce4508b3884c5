"""A launcher as a service of systemd's: when it says that it is ready, how it fares, and that it lives."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from pathlib import Path
from typing import Any, TypeVarTuple

import psutil
import pytest

from quarterdeck.core.state import Child, ChildPlan, Rules, State
from quarterdeck.schema.types import ChildState
from quarterdeck.server.notify import NotifySocket
from quarterdeck.server.service import Service, status_of
from tests.launching import Launcher
from tests.server.launched import short_folder
from tests.server.systemd import Systemd

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

Ts = TypeVarTuple("Ts")

WAITS = """
[process.db]
command = ["sh", "-c", "read line < go; echo up; exec sleep 10000"]
ready = { log = "up" }
[process.web]
command = ["sleep", "10000"]
ready = "running"
after = ["db"]
stop_grace_s = 20
[process.later]
command = ["sleep", "10000"]
autostart = false
"""


class Unit:
    """A launcher with a quarterdeck.toml, started as systemd starts one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.systemd = Systemd.in_folder(folder)
        self.launcher = Launcher(folder, "--config", str(folder / "quarterdeck.toml"))

    def start(self, deck: str) -> None:
        self.write(deck)
        os.mkfifo(self.folder / "go")
        self.launcher.start()

    def write(self, deck: str) -> None:
        (self.folder / "quarterdeck.toml").write_text(deck)

    def let_go(self) -> None:
        (self.folder / "go").write_text("go\n")


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Unit]:
    unit = Unit(short_folder())
    monkeypatch.setenv("NOTIFY_SOCKET", unit.systemd.address)
    yield unit
    if unit.launcher.is_running:
        unit.launcher.stop()
    unit.systemd.close()


# --- a real launcher


def test_without_processes_it_is_ready_when_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = short_folder()
    systemd = Systemd(f"@quarterdeck-test{folder}")
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    launcher = Launcher(folder)
    launcher.start()
    assert systemd.next() == {"READY": "1", "STATUS": f"listening at {launcher.endpoint}"}
    assert launcher.stop() == 0
    assert systemd.next() == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "10000000", "STATUS": "quitting"}
    systemd.close()


def test_it_is_ready_when_its_processes_are_and_says_how_far_they_are(unit: Unit) -> None:
    unit.start(WAITS)
    assert unit.systemd.next() == {"STATUS": "0 of 2 processes ready; starting: db; waiting: web"}
    unit.let_go()
    assert unit.systemd.until("READY", "1")["STATUS"] == "2 of 2 processes ready"
    assert all("READY" not in said for said in unit.systemd.said[:-1])
    assert unit.launcher.stop() == 0
    stopping = unit.systemd.until("STOPPING", "1")
    assert stopping["STATUS"] == "quitting; left: db, web"
    assert stopping["EXTEND_TIMEOUT_USEC"] == "30000000"  # the grace of 20 s, and a margin


def test_who_has_failed_for_good_holds_nobody_up(unit: Unit) -> None:
    unit.start(
        '[process.bad]\ncommand = "false"\nrestart = "never"\nready = { log = "never" }\n'
        '[process.blocked]\ncommand = ["sleep", "10000"]\nafter = ["bad"]\n'
        '[process.done]\ncommand = "true"\nready = { log = "never" }\n'
        '[process.slow]\ncommand = ["sleep", "10000"]\noptional = true\n'
        '[process.web]\ncommand = ["sleep", "10000"]\nready = "running"\n'
    )
    ended = "1 of 5 processes ready; ended: done; failed: bad; starting: slow; waiting: blocked"
    unit.systemd.until("STATUS", ended)
    assert any("READY" in said for said in unit.systemd.said)


def test_a_reload_is_told_from_its_begin_to_its_end(unit: Unit) -> None:
    nap = '[process.{}]\ncommand = ["sleep", "10000"]\nready = "running"\n'
    unit.start(nap.format("a"))
    unit.systemd.until("READY", "1")
    unit.write(nap.format("a") + nap.format("b"))
    os.kill(unit.launcher.pid, signal.SIGHUP)
    began = unit.systemd.until("RELOADING", "1")
    assert int(began["MONOTONIC_USEC"]) > 0
    unit.systemd.until("READY", "1")
    unit.systemd.until("STATUS", "2 of 2 processes ready")
    unit.write("not = toml = at all")
    os.kill(unit.launcher.pid, signal.SIGHUP)
    unit.systemd.until("RELOADING", "1")
    assert unit.systemd.next() == {"READY": "1"}


def test_the_watchdog_hears_from_it_again_and_again(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    unit.start('[process.a]\ncommand = ["sleep", "10000"]\nready = "running"\n')
    for _ in range(3):
        unit.systemd.until("WATCHDOG", "1")


def test_nobody_whom_it_starts_inherits_what_systemd_gave_it(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    # Ready by what it says itself: "running" is told while the guard's fork is still on its way to become the program.
    unit.start(
        "[process.a]\ncommand = ['sh', '-c', 'echo up; while :; do sleep 10000; done']\nready = { log = 'up' }\n"
    )
    unit.systemd.until("READY", "1")
    below = psutil.Process(unit.launcher.pid).children()
    below += [child for process in below for child in process.children()]
    assert {"sh"} < {process.name() for process in below}  # the guard and the child
    for process in below:
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(process.environ())


def test_it_serves_on_where_systemd_is_not_there(unit: Unit) -> None:
    unit.systemd.close()
    os.unlink(unit.systemd.address)
    unit.start(WAITS)
    assert unit.launcher.stop() == 0


# --- what is said of which state


def state_of(*children: Child) -> State:
    state = State(Rules())
    state.children = {child.plan.name: child for child in children}
    return state


def child(name: str, state: ChildState, **members: Any) -> Child:
    pid = 1 if state in ("running", "ready", "stopping") else None
    return Child(ChildPlan(name), state, pid, wanted=True, **members)


def test_the_status_counts_who_is_wanted_and_names_who_is_not_ready() -> None:
    sleeper = Child(ChildPlan("asleep"))
    assert status_of(state_of(sleeper), "/s") == "listening at /s"
    assert status_of(state_of(child("a", "ready"), sleeper), "/s") == "1 of 1 process ready"
    told = status_of(
        state_of(child("a", "ready"), child("b", "backoff"), child("c", "stopped"), child("d", "running")), "/s"
    )
    assert told == "1 of 4 processes ready; restarting: b; starting: d; waiting: c"


def test_the_status_names_a_few() -> None:
    many = [child(f"worker-{number}", "failed") for number in range(8)]
    assert status_of(state_of(*many), "/s").endswith(
        "failed: worker-0, worker-1, worker-2, worker-3, worker-4 and 3 more"
    )


# --- the watchdog


class ManualLoop(asyncio.SelectorEventLoop):
    """A loop that does nothing by itself: `timers` are rung by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers.append((delay, functools.partial(callback, *args)))
        return asyncio.TimerHandle(0, callback, args, self)

    def ring(self) -> None:
        """What falls due next."""
        self.timers.pop(0)[1]()


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    loop = ManualLoop()
    yield loop
    loop.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd.in_folder(tmp_path)
    yield systemd
    systemd.close()


def test_without_a_watchdog_there_is_no_timer(systemd: Systemd, loop: ManualLoop) -> None:
    service = Service(NotifySocket(systemd.address, None), loop, state_of(), lambda: None, "/s")
    assert loop.timers == []
    service.close()


def test_the_watchdog_hears_nothing_from_a_turn_that_fails(systemd: Systemd, loop: ManualLoop) -> None:
    fails = [False, True, False]

    def turn() -> None:
        if fails.pop(0):
            raise RuntimeError("broken")

    service = Service(NotifySocket(systemd.address, 20.0), loop, state_of(), turn, "/s")
    assert systemd.next()["READY"] == "1"
    assert loop.timers[0][0] == 10.0
    loop.ring()
    assert systemd.next() == {"WATCHDOG": "1"}
    with pytest.raises(RuntimeError, match="broken"):
        loop.ring()
    service.reloading()  # sent behind whatever came of that turn
    assert systemd.next()["RELOADING"] == "1"
    loop.ring()
    assert systemd.next() == {"WATCHDOG": "1"}
    service.close()


def test_what_systemd_had_no_room_for_is_sent_when_it_has(systemd: Systemd, loop: ManualLoop) -> None:
    notify, state = NotifySocket(systemd.address, None), state_of()
    stuffed = 0
    while notify.send("STATUS=full"):
        stuffed += 1
    service = Service(notify, loop, state, lambda: None, "/s")
    loop.ring()  # still full
    state.children["a"] = child("a", "ready")  # and by then it fares otherwise
    for _ in range(stuffed):
        assert systemd.next() == {"STATUS": "full"}
    loop.ring()
    assert systemd.next() == {"READY": "1", "STATUS": "listening at /s"}
    assert systemd.next() == {"STATUS": "1 of 1 process ready"}
    assert loop.timers == []
    service.close()
