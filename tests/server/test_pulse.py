"""The second signal of a hang: what the window system says of a host, unless the kernel knows better."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from quarterdeck.core.step import Found, HostChecked
from quarterdeck.drivers.witness import Belongs, Checked, Observe
from quarterdeck.schema.types import Rect
from quarterdeck.server.pulse import Pulse, is_held

TRACED = """
import ctypes, sys
assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0  # PTRACE_TRACEME: its parent is a debugger
print("up", flush=True)
sys.stdin.read()
"""
PLAIN = 'import sys; print("up", flush=True); sys.stdin.read()'


class Seer:
    """A witness that has its answer ready."""

    name = "seer"
    cannot_observe: frozenset[str] = frozenset()
    unseen: tuple[str, ...] = ()
    blind_s = 0.0

    def __init__(self, found: Found) -> None:
        self.found = found
        self.asked: list[int] = []

    def start(self, loop: object, observe: Observe, belongs: Belongs) -> None: ...

    def host_changed(self) -> None: ...

    def move(self, hwnd: int, target: Rect) -> None: ...

    def check(self, pid: int, checked: Checked) -> None:
        self.asked.append(pid)
        checked(self.found)

    def stop(self) -> None: ...


class Slow(Seer):
    """A witness that answers when the test says so."""

    def __init__(self, found: Found) -> None:
        super().__init__(found)
        self._waiting: list[Checked] = []

    def check(self, pid: int, checked: Checked) -> None:
        self.asked.append(pid)
        self._waiting.append(checked)

    def say(self) -> None:
        while self._waiting:
            self._waiting.pop(0)(self.found)


class Broken(Seer):
    """A witness that breaks down."""

    def check(self, pid: int, checked: Checked) -> None:
        raise RuntimeError("no display")


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    program = getattr(request, "param", PLAIN)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate(timeout=60)


@pytest.mark.parametrize("found", ["alive", "hung", "unknown"])
def test_what_the_witness_found_is_reported(found: Found, process: subprocess.Popen[str]) -> None:
    reports: list[HostChecked] = []
    seer = Seer(found)
    Pulse(reports.append).take(process.pid, seer)
    assert seer.asked == [process.pid]
    assert reports == [HostChecked(process.pid, found)]


def test_a_look_under_way_is_not_begun_anew_however_often_the_host_misses_meanwhile() -> None:
    reports: list[HostChecked] = []
    pulse, slow = Pulse(reports.append), Slow("alive")
    for pid in (7, 7, 8, 8):
        pulse.take(pid, slow)
    assert slow.asked == [7, 8]
    slow.say()
    pulse.take(7, slow)
    assert slow.asked == [7, 8, 7]
    assert reports == [HostChecked(8, "alive")], "the first was given up for the second"


@pytest.mark.steady
def test_a_look_under_way_goes_on_while_the_host_is_stopped_for_a_moment(process: subprocess.Popen[str]) -> None:
    reports: list[HostChecked] = []
    pulse, slow = Pulse(reports.append), Slow("alive")
    pulse.take(process.pid, slow)
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    pulse.take(process.pid, slow)
    os.kill(process.pid, signal.SIGCONT)
    os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOWAIT)
    pulse.take(process.pid, slow)
    assert slow.asked == [process.pid], "begun anew with every miss, it would never come to its end"
    slow.say()
    assert [report.found for report in reports] == ["held", "alive"]


def test_a_look_that_breaks_down_is_no_look_under_way() -> None:
    pulse = Pulse(lambda report: None)
    with pytest.raises(RuntimeError):
        pulse.take(7, Broken("alive"))
    later = Slow("alive")
    pulse.take(7, later)
    assert later.asked == [7]


def test_without_a_witness_nothing_is_known() -> None:
    reports: list[HostChecked] = []
    Pulse(reports.append).take(7, None)
    assert reports == [HostChecked(7, "unknown")]


@pytest.mark.steady
def test_one_that_is_stopped_does_not_hang_until_it_goes_on(process: subprocess.Popen[str]) -> None:
    reports: list[HostChecked] = []
    pulse = Pulse(reports.append)
    seer = Slow("hung")
    pulse.take(process.pid, seer)
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    seer.say()  # it was stopped while the window system waited
    pulse.take(process.pid, Seer("hung"))
    os.kill(process.pid, signal.SIGCONT)
    os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOWAIT)
    pulse.take(process.pid, Seer("hung"))
    assert [report.found for report in reports] == ["held", "held", "hung"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a debugger is not seen")
@pytest.mark.parametrize("process", [TRACED], indirect=True)
def test_one_that_is_debugged_does_not_hang(process: subprocess.Popen[str]) -> None:
    assert is_held(process.pid)


def test_one_that_is_gone_is_not_held(process: subprocess.Popen[str]) -> None:
    assert not is_held(process.pid)
    process.kill()
    process.wait(60)
    assert not is_held(process.pid)


def test_a_person_is_told_once_until_something_else_is_found(caplog: pytest.LogCaptureFixture) -> None:
    pulse = Pulse(lambda report: None)
    with caplog.at_level(logging.WARNING):
        for found in ("alive", "alive", "unknown", "alive"):
            pulse.take(7, Seer(found))
    assert [record.getMessage().partition(", ")[2] for record in caplog.records] == [
        "but its windows answer the window system: left alone",
        "and none of its windows can be asked by the window system: left alone",
        "but its windows answer the window system: left alone",
    ]
