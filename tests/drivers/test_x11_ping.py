"""Whether a process hangs, as the windows on a real X server show it, with a window manager and without; and on a
played one, what only happens when we do not run ourselves.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from quarterdeck.core.step import Found
from quarterdeck.drivers import x11_ping
from quarterdeck.drivers.x11 import x11_witness
from quarterdeck.drivers.x11_display import Display
from quarterdeck.drivers.x11_ping import Ping
from tests.drivers.scene import PATIENCE_S, Scene, play
from tests.drivers.xserver import XServer


def check(scene: Scene, pid: int) -> asyncio.Future[Found]:
    """Ask the witness about a process."""
    found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
    scene.witness.check(pid, found.set_result)
    return found


async def said(found: asyncio.Future[Found]) -> Found:
    return await asyncio.wait_for(found, PATIENCE_S)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x11_ping, "PATIENCE_S", 0.05)


def test_a_process_of_which_a_window_answers_is_alive(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        windows = [client.window(pings=True) for _ in range(3)]
        for window in windows:
            await scene.until_opened(window)
        found = check(scene, client.pid)
        await asyncio.to_thread(client.tell, "pong", times=len(windows))
        assert await said(found) == "alive"
        again = check(scene, client.pid)
        assert await asyncio.to_thread(client.tell, "pong") in windows
        assert await said(again) == "alive"

    play(any_server, act)


@pytest.mark.usefixtures("impatient")
def test_a_process_of_which_none_answers_is_hung_until_it_does(any_server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        for window in (client.window(pings=True), client.window(pings=True)):
            await scene.until_opened(window)
        assert await said(check(scene, client.pid)) == "hung"
        other = client.window()  # the witness goes on watching meanwhile
        await scene.until_opened(other)

    play(any_server, act)


@pytest.mark.usefixtures("impatient")
def test_who_has_no_window_that_answers_pings_is_not_known(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client, other = scene.host(), scene.host()
        await scene.until_opened(client.window())
        await scene.until_opened(other.window(pings=True))
        assert await said(check(scene, client.pid)) == "unknown"
        assert await said(check(scene, client.pid + 1)) == "unknown"
        stranger = server.client()
        stranger.window(pings=True)
        await scene.all_told(client)
        assert await said(check(scene, stranger.pid)) == "unknown"

    play(server, act)


def test_a_window_that_is_destroyed_meanwhile_tells_nothing(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        window, other = client.window(pings=True), client.window()
        await scene.until_opened(window)
        found = check(scene, client.pid)
        await scene.until_looked_at(client, other)
        client.tell("destroy", window=window)
        assert await said(found) == "unknown"

    play(server, act)


def test_a_server_that_goes_away_meanwhile_tells_nothing(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        await scene.until_opened(client.window(pings=True))
        found = check(scene, client.pid)
        server.kill()
        assert await said(found) == "unknown"
        assert await said(check(scene, client.pid)) == "unknown"

    play(server, act)


def test_who_is_asked_again_gives_the_earlier_question_up(server: XServer) -> None:
    async def act(scene: Scene) -> None:
        client = scene.host()
        await scene.until_opened(client.window(pings=True))
        earlier, later = check(scene, client.pid), check(scene, client.pid)
        assert await said(earlier) == "unknown"
        await asyncio.to_thread(client.tell, "pong")
        assert await said(later) == "alive"
        scene.witness.stop()
        assert await said(check(scene, client.pid)) == "unknown"

    play(server, act)


def test_a_witness_that_was_never_started_knows_nothing(server: XServer) -> None:
    found: list[Found] = []
    x11_witness(server.display, on_trouble=pytest.fail).check(1, found.append)
    assert found == ["unknown"]


# On a display that the test plays.

WINDOW, PING = 1, 2


class PlayedDisplay:
    """A window that says it answers pings; what was sent to it is kept."""

    def __init__(self) -> None:
        self.atoms = {"_NET_WM_PING": PING}
        self.pinged: list[int] = []

    def ask_protocols(self, window: int) -> dict[str, Any]:
        words = (PING).to_bytes(4, "little")
        return {"protocols": SimpleNamespace(format=32, value_len=1, value=SimpleNamespace(buf=lambda: words))}

    def take(self, asked: dict[str, Any]) -> dict[str, Any]:
        return asked

    def ping(self, window: int, number: int) -> None:
        self.pinged.append(window)

    def pong_of(self, event: int, number: int) -> int:
        return event


def test_an_answer_that_lay_unread_while_we_did_not_run_is_read_before_anything_is_concluded() -> None:
    found: list[Found] = []
    woken: list[str] = []

    async def run() -> None:
        display = cast(Display, PlayedDisplay())
        ping = Ping(10, asyncio.get_running_loop(), lambda: woken.append("again"), found.append)
        ping.send(display, [WINDOW])
        ping.fenced(display)
        ping.send(display, [WINDOW])
        ping.fenced(display)
        assert cast(PlayedDisplay, display).pinged == [WINDOW]
        assert not ping.is_due
        ping._time_is_over()
        assert (woken, ping.is_due, found) == (["again"], True, [])
        ping.send(display, [WINDOW])
        ping.heard(display, WINDOW + 1)  # somebody else's
        ping.heard(display, WINDOW)  # it was on its way already
        ping.fenced(display)
        ping.end("hung")

    asyncio.run(run())
    assert found == ["alive"]
