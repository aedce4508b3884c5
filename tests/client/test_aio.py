"""The async front over a real socket, whose other end says what each test wrote; on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
import uvloop

import quarterdeck
from quarterdeck.client.aio import Client
from quarterdeck.errors import (
    CommandRefused,
    ConnectionLost,
    LocalProtocolError,
    NoLauncher,
    RemoteProtocolError,
    Timeout,
)
from quarterdeck.schema.commands import Ping, Publish
from quarterdeck.schema.events import Published
from quarterdeck.schema.replies import Pong, Shutdown
from tests.client import lines
from tests.client.lines import version_of
from tests.client.scripted import Peer, Scripted, scripted

Body = Callable[[str], Coroutine[Any, Any, None]]
Play = Callable[[Callable[[Scripted], None], Callable[[Scripted], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a coroutine against a script, and checks that nothing is left behind: no task, no complaint of the loop."""
    factory = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[request.param]

    def run(script: Callable[[Scripted], None], body: Callable[[Scripted], Coroutine[Any, Any, None]]) -> None:
        complaints: list[dict[str, Any]] = []

        async def watched(launcher: Scripted) -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            await body(launcher)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left

        with scripted(script) as launcher, asyncio.Runner(loop_factory=factory) as runner:
            runner.run(watched(launcher))
        gc.collect()
        assert not complaints

    return run


def _allow(client: Client, timeout_s: float) -> None:
    """From now on wait no longer than this: a short time would be too short to connect on a busy machine."""
    client._session.terms = msgspec.structs.replace(client._session.terms, timeout_s=timeout_s)


def _answer_pings(peer: Peer, count: int) -> None:
    for _ in range(count):
        command = peer.hear_cmd("ping")
        peer.say(lines.pong(command["id"], command["nonce"]))


def test_a_client_registers_asks_and_says_goodbye(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        register = peer.welcome(at=3)
        assert (register["kind"], register["name"]) == ("srv", "indexer")
        _answer_pings(peer, 1)
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(kind="srv", name="indexer", endpoint=launcher.endpoint) as client:
            assert isinstance(await client.ping(), Pong)
            assert (client.client_id, client.run_id, client.version, client.connected) == (1, "run-1", 3, True)
        assert not client.connected
        with pytest.raises(LocalProtocolError, match="closed"):
            await client.ping()

    play(script, body)


def test_a_client_can_be_awaited_and_closed_by_several(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        client = await quarterdeck.connect(endpoint=launcher.endpoint)
        await asyncio.gather(client.close(), client.goodbye(), client.close())

    play(script, body)


def test_nobody_listens(play: Play) -> None:
    async def body(launcher: Scripted) -> None:
        with pytest.raises(NoLauncher):
            await quarterdeck.connect(endpoint=launcher.endpoint + ".not")

    play(lambda launcher: None, body)


def test_a_refused_registration_is_raised_even_where_the_launcher_closed_before_we_wrote(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        for _ in range(20):
            peer = launcher.accept()
            peer.say(lines.error("too_many_connections", fatal=True))
            peer.close()

    async def body(launcher: Scripted) -> None:
        for _ in range(20):
            with pytest.raises(CommandRefused, match="too_many_connections"):
                await quarterdeck.connect(endpoint=launcher.endpoint)

    play(script, body)


def test_a_launcher_that_never_answers_is_a_timeout(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        launcher.accept().drain()

    async def body(launcher: Scripted) -> None:
        with pytest.raises(Timeout, match="register"):
            await quarterdeck.connect(endpoint=launcher.endpoint, timeout_s=0.05)

    play(script, body)


def test_a_launcher_that_speaks_something_else_is_said_so(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.hear_cmd("register")
        peer.say(b"220 mail ready\r\n")
        peer.hear_end()

    async def body(launcher: Scripted) -> None:
        with pytest.raises(RemoteProtocolError):
            await quarterdeck.connect(endpoint=launcher.endpoint)

    play(script, body)


def test_a_cancelled_connect_leaves_nothing_open(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.hear_cmd("register")
        launcher.reach("registering")
        peer.hear_end()

    async def body(launcher: Scripted) -> None:
        task = asyncio.ensure_future(_opened(launcher.endpoint))
        await asyncio.to_thread(launcher.until, "registering")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(script, body)


async def _opened(endpoint: str) -> Client:
    return await quarterdeck.connect(endpoint=endpoint)


def test_many_calls_at_once_each_get_their_own_answer(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        commands = [peer.hear_cmd("ping") for _ in range(50)]
        for command in reversed(commands):
            peer.say(lines.pong(command["id"], command["nonce"]))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            pongs = await asyncio.gather(*(client.ping(nonce) for nonce in range(50)))
            assert [pong.nonce for pong in pongs] == list(range(50))

    play(script, body)


def test_a_cancelled_call_breaks_nothing_and_leaves_nothing(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        first = peer.hear_cmd("ping")
        launcher.reach("asked")
        second = peer.hear_cmd("ping")
        peer.say(lines.pong(first["id"], 1), lines.pong(second["id"], 2))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            task = asyncio.ensure_future(client.ping(1))
            await asyncio.to_thread(launcher.until, "asked")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.ping(2)).nonce == 2
            assert len(client._session._calls) == 0

    play(script, body)


def test_a_call_cancelled_while_the_launcher_is_away_never_goes_out(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.close()
        launcher.until("cancelled")
        peer = launcher.accept()
        peer.welcome()
        second = peer.hear_cmd("ping")
        assert second["nonce"] == 2
        peer.say(lines.pong(second["id"], 2))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            if client._link is not None:
                await asyncio.shield(client._link.closed)
            task = asyncio.ensure_future(client.ping(1))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(client._session._calls) == 0
            launcher.reach("cancelled")
            assert (await client.ping(2)).nonce == 2

    play(script, body)


def test_a_call_that_is_not_answered_in_time_is_a_timeout(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.hear_cmd("ping")
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            _allow(client, 0.2)
            with pytest.raises(Timeout, match=r"ping: no answer within 0\.2 s"):
                await client.ping()

    play(script, body)


def test_several_iterators_each_get_what_they_want(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.until("waiting")
        peer.say(lines.published(1), lines.spawned(2, 5), lines.shutdown(), lines.published(3))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            everything, some, directives = client.events(), client.events("process_*"), client.directives()

            async def all_of() -> list[int]:
                return [version_of(await anext(everything)) for _ in range(3)]

            waiting = asyncio.gather(all_of(), anext(some), anext(directives))
            launcher.reach("waiting")
            versions, spawned, directive = await waiting
            assert versions == [1, 2, 3]
            assert version_of(spawned) == 2
            assert directive == Shutdown("user_exit", 0)

    play(script, body)


def test_two_tasks_may_wait_for_one_iterator(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.until("waiting")
        peer.say(lines.published(1), lines.published(2))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            events = client.events()
            waiting = asyncio.gather(anext(events), anext(events))
            await asyncio.sleep(0)
            launcher.reach("waiting")
            assert sorted(version_of(event) for event in await waiting) == [1, 2]

    play(script, body)


def test_a_cancelled_wait_for_an_event_loses_none(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.until("cancelled")
        peer.say(lines.published(1))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            events = client.events()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.01)
            launcher.reach("cancelled")
            assert isinstance(await anext(events), Published)

    play(script, body)


def test_an_iterator_that_was_broken_off_takes_nothing_any_more(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1), lines.published(2))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            other = client.events("lagged")  # as it is made, so are those after it, before anything else is read
            async for event in client.events():
                assert version_of(event) == 1
                break
            assert len(client._session.follower.events) == 1
            await other.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(other)

    play(script, body)


def test_a_lost_connection_is_made_again_and_resumed(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        status = peer.hear_cmd("report_status")
        peer.say(lines.ack(status["id"]), lines.published(1))
        peer.hear_cmd("ping")
        peer.close()
        peer = launcher.accept()
        register = peer.hear_cmd("register")
        peer.say(lines.error("already_registered", fatal=True, id=register["id"]))
        peer.close()
        peer = launcher.accept()
        assert peer.welcome(at=1)["subscribe"]["since"] == 1
        assert peer.hear_cmd("report_status")["status"] == {"n": 1}
        peer.say(lines.published(2))
        _answer_pings(peer, 1)
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            events = client.events()
            await client.report_status({"n": 1})
            with pytest.raises(ConnectionLost):
                await client.ping()
            assert not client.connected
            assert await client.ping() is not None  # waits until it is back
            assert [version_of(await anext(events)) for _ in range(2)] == [1, 2]

    play(script, body)


def test_a_launcher_that_stays_away_is_a_timeout_and_the_client_can_be_closed(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.stop_listening()
        peer.close()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            _allow(client, 0.3)
            with pytest.raises((ConnectionLost, Timeout)):
                await client.ping()
            with pytest.raises(Timeout, match="did not come back"):
                await client.ping()

    play(script, body)


def test_a_refusal_when_coming_back_ends_the_client_and_its_iterators(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.close()
        peer = launcher.accept()
        register = peer.hear_cmd("register")
        peer.say(lines.error("forbidden", fatal=True, id=register["id"]))
        peer.close()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            with pytest.raises(CommandRefused, match="forbidden"):
                await anext(client.events())
            with pytest.raises(CommandRefused, match="forbidden"):
                await client.ping()

    play(script, body)


def test_without_reconnect_the_end_of_the_connection_is_the_clients(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1))
        peer.close()
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1), lines.shutdown())
        peer.close()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint, reconnect=False) as client:
            events = client.events()
            await anext(events)
            with pytest.raises(ConnectionLost):
                await anext(events)
        async with quarterdeck.connect(endpoint=launcher.endpoint, reconnect=False) as client:
            assert [version_of(event) async for event in client.events()] == [1]

    play(script, body)


def test_while_the_launcher_takes_no_more_commands_wait(play: Play) -> None:
    big = "x" * 60_000

    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.until("paused")
        for _ in range(100):
            peer.hear_cmd("publish")
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:

            async def send_all() -> None:
                for _ in range(100):
                    await client.send(Publish(topic="t", payload=big))

            link = client._link
            assert link is not None
            paused, pause = asyncio.Event(), link.pause_writing

            def pause_writing() -> None:
                pause()
                paused.set()

            link.pause_writing = pause_writing  # type: ignore[method-assign]
            sending = asyncio.ensure_future(send_all())
            await paused.wait()
            assert not sending.done()
            launcher.reach("paused")
            await sending

    play(script, body)


def test_an_abort_says_nothing(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.hear_end()

    async def body(launcher: Scripted) -> None:
        client = await quarterdeck.connect(endpoint=launcher.endpoint)
        events = client.events()
        client.abort()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        await client.close()

    play(script, body)


def test_an_exception_in_the_body_still_says_goodbye(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        with pytest.raises(ZeroDivisionError):
            async with quarterdeck.connect(endpoint=launcher.endpoint):
                raise ZeroDivisionError

    play(script, body)


def test_calls_in_flight_when_the_client_closes_are_answered_or_lost(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        first = peer.hear_cmd("ping")
        peer.hear_cmd("ping")
        peer.say(lines.pong(first["id"], 1))
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            first, second = asyncio.ensure_future(client.ping(1)), asyncio.ensure_future(client.call(Ping(nonce=2)))
            await asyncio.sleep(0)
        assert (await first).nonce == 1
        with pytest.raises(ConnectionLost):
            await second

    play(script, body)


def test_a_client_of_another_process_says_so(play: Play) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.farewell()

    async def body(launcher: Scripted) -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint) as client:
            events = client.events()
            client._owner_pid += 1  # as in a child
            for use in (client.ping, lambda: anext(events), lambda: client.send(Ping(nonce=1))):
                with pytest.raises(LocalProtocolError, match="after a fork"):
                    await use()
            client._owner_pid -= 1

    play(script, body)
