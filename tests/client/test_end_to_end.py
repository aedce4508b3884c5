"""Both fronts against a real launcher: it is killed, it is cut off, it quits; nothing is missed or given twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest
import uvloop

import quarterdeck
from quarterdeck.client.cursor import Cursor, RunChanged
from quarterdeck.errors import CommandRefused, ConnectionLost
from quarterdeck.schema.events import ProcessExited, ProcessSpawned, ProcessStatusChanged, Published
from quarterdeck.schema.replies import Shutdown, Snapshot
from tests.client.lines import version_of
from tests.client.relay import Relay
from tests.launching import Launcher

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[request.param]

    def run(body: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(body)

    return run


@pytest.fixture
def relay(launcher: Launcher) -> Iterator[Relay]:
    relay = Relay(launcher.endpoint)
    yield relay
    relay.close()


@pytest.fixture
def child_pid() -> Iterator[int]:
    """A process of ours, under whose pid a second client of this process may register."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child.pid
    child.communicate(b"\n")


def _plain(snapshot: Snapshot) -> Snapshot:
    return msgspec.structs.replace(snapshot, id=None)


# -- The blocking front ----------------------------------------------------------------------------------------------


def test_the_blocking_front_sees_what_it_does(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, name="me", mirror=True) as client:
        assert client.launcher_pid == launcher.pid
        client.report_status({"n": 1})
        client.publish("files", {"n": 3, "names": ["ä", None, 1.5]})
        events = client.events()
        changed, published = next(events), next(events)
        assert isinstance(changed, ProcessStatusChanged)
        assert changed.status == {"n": 1}
        assert isinstance(published, Published)
        assert published.payload == {"n": 3, "names": ["ä", None, 1.5]}
        said = _plain(client.get_snapshot())
        assert client.mirror is not None
        assert client.mirror.snapshot() == said
        told = [client.decode(bytes(event)) for event in client.get_events(0).events]
        assert told[-1] == published
        assert client.ping().version == client.version == client.cursor.version
        with pytest.raises(CommandRefused) as refused:
            client.get_events(0, run_id="another")
        assert refused.value.code == "unknown_run"


def test_a_goodbye_is_told_as_one(launcher: Launcher, child_pid: int) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint) as watcher:
        with quarterdeck.connect_blocking(endpoint=launcher.endpoint, pid=child_pid):
            pass
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, pid=child_pid).abort()
        exits = watcher.events("process_exited", timeout_s=30)
        assert [exit.reason for exit in (next(exits), next(exits)) if isinstance(exit, ProcessExited)] == [
            "goodbye",
            "disconnected",
        ]


def test_the_blocking_front_finds_a_launcher_that_was_killed_and_started_again(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, mirror=True, timeout_s=60) as client:
        client.report_status({"n": 1})
        old = client.run_id
        events = client.events(timeout_s=60)
        launcher.kill()
        with pytest.raises(ConnectionLost):
            client.ping()
        launcher.restart()
        assert client.ping() is not None
        changed = next(event for event in events if isinstance(event, RunChanged))
        assert (changed.old_run_id, changed.new_run_id) == (old, client.run_id)
        assert old != client.run_id
        assert client.launcher_pid == launcher.pid
        said = _plain(client.get_snapshot())
        assert client.mirror is not None
        assert client.mirror.snapshot() == said
        assert [process.status for process in client.get_snapshot().processes] == [{"n": 1}]


def test_a_host_that_outlives_its_launcher_tells_the_next_one_what_it_has(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, kind="host", timeout_s=60) as host:
        for label in ("main", "gone"):
            host.report_window_opened(label, kind="full_instance", parent_label=None)
        host.report_backend_window_id_registered("main", window_id="7")
        host.report_hwnd_opened(11, class_name="", title="", label_hint="main")
        host.report_hwnd_visibility_changed(11, visible=True)
        host.report_pool_window_added("warm")
        host.report_window_closed("gone")
        before = host.get_snapshot()
        launcher.kill()
        with pytest.raises(ConnectionLost):
            host.ping()
        launcher.restart()
        host.ping()  # behind what it tells again
        after = host.get_snapshot()
        assert after.run_id != before.run_id
        assert after.windows == before.windows
        assert [window.hwnd for window in after.windows] == [11]
        assert (after.pool, after.backend_window_ids) == (("warm",), (("main", "7"),))
        assert not host.errors


def test_the_blocking_front_resumes_after_a_cut(launcher: Launcher, relay: Relay, child_pid: int) -> None:
    with (
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, pid=child_pid, events=()) as publisher,
        quarterdeck.connect_blocking(endpoint=relay.endpoint, timeout_s=60) as client,
    ):
        events = client.events(timeout_s=60)
        given: list[int] = []
        for turn in range(10):
            for number in range(20):
                publisher.publish("n", turn * 20 + number)
            if turn % 2:
                relay.cut()
            given += [version_of(next(events)) for _ in range(5)]
        head = publisher.ping().version
        while given[-1] < head:
            given.append(version_of(next(events)))
        assert given == list(range(given[0], given[-1] + 1))


def test_a_client_that_kept_its_cursor_goes_on_where_it_was(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint) as first:
        first.publish("n", 1)
        cursor = Cursor(first.run_id, first.ping().version)
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, since=cursor) as second:
        events = second.events()
        left, came = next(events), next(events)
        assert isinstance(left, ProcessExited)
        assert isinstance(came, ProcessSpawned)
        assert (left.version, came.version) == (cursor.version + 1, cursor.version + 2)


def test_a_cursor_of_another_run_is_refused(launcher: Launcher) -> None:
    with pytest.raises(CommandRefused) as refused:
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, since=Cursor("another", 5))
    assert refused.value.code == "unknown_run"


def test_a_quit_ends_the_iterators_of_a_client_that_does_not_come_back(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, reconnect=False, events=()) as client:
        directives = client.directives()
        client.quit("user_exit")
        assert list(client.events(timeout_s=60)) == []
        assert [type(directive) for directive in directives] == [Shutdown]
    assert launcher.wait() == 0


def test_raw_lines_come_back_raw(launcher: Launcher) -> None:
    with quarterdeck.connect_blocking(endpoint=launcher.endpoint, events=()) as client:
        given = [b'{"cmd":"ping","nonce":5,"id":"a"}', b"nonsense", b'{"cmd":"publish","topic":"t","payload":1}']
        pong, error = (msgspec.json.decode(line) for line in client.request_lines(given))
        assert (pong["event"], pong["nonce"], pong["id"]) == ("pong", 5, "a")
        assert error["code"] == "invalid_command"
        farewell = list(client.request_lines([b'{"cmd":"goodbye","id":9}']))
        assert msgspec.json.decode(farewell[-1])["event"] == "ack"


def test_after_a_real_fork_the_child_is_told_and_the_parent_goes_on(launcher: Launcher) -> None:
    code = f"""
import os, sys
import quarterdeck
with quarterdeck.connect_blocking(endpoint={launcher.endpoint!r}) as client:
    child = os.fork()
    if not child:
        try:
            client.ping()
        except quarterdeck.LocalProtocolError as error:
            client.close()
            os._exit(0 if "fork" in str(error) else 2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.ping()
    assert client.connected
"""
    environ = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environ, timeout=60)


# -- The async front -------------------------------------------------------------------------------------------------


def test_the_async_front_finds_a_launcher_that_was_killed_and_started_again(launcher: Launcher, run: Run) -> None:
    async def body() -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint, mirror=True, timeout_s=60) as client:
            await client.report_status({"n": 1})
            old = client.run_id
            events, others = client.events(), client.events("published")
            await asyncio.to_thread(launcher.kill)
            await asyncio.to_thread(launcher.restart)
            changed = await anext(others)
            assert isinstance(changed, RunChanged)
            assert (changed.old_run_id, changed.new_run_id) == (old, client.run_id)
            assert client.launcher_pid == launcher.pid
            await client.publish("n", 1)
            assert isinstance(await anext(others), Published)
            said = _plain(await client.get_snapshot())
            assert client.mirror is not None
            assert client.mirror.snapshot() == said
            assert [process.status for process in (await client.get_snapshot()).processes] == [{"n": 1}]
            while await anext(events) != changed:
                pass

    run(body())


def test_the_async_front_resumes_after_every_cut(launcher: Launcher, relay: Relay, child_pid: int, run: Run) -> None:
    async def body() -> None:
        async with (
            quarterdeck.connect(endpoint=launcher.endpoint, pid=child_pid, events=()) as publisher,
            quarterdeck.connect(endpoint=relay.endpoint, mirror=True, timeout_s=60) as client,
        ):
            events = client.events()
            given: list[int] = []
            for turn in range(10):
                await asyncio.gather(*(publisher.publish("n", number) for number in range(50)))
                if turn % 2:
                    relay.cut()
                given += [version_of(await anext(events)) for _ in range(10)]
            head = (await publisher.ping()).version
            while given[-1] < head:
                given.append(version_of(await anext(events)))
            assert given == list(range(given[0], given[-1] + 1))
            said = _plain(await client.get_snapshot())
            assert client.mirror is not None
            assert client.mirror.snapshot() == said

    run(body())


def test_calls_that_were_cut_off_say_so_and_the_next_ones_go_through(
    launcher: Launcher, relay: Relay, run: Run
) -> None:
    async def body() -> None:
        async with quarterdeck.connect(endpoint=relay.endpoint, timeout_s=60) as client:
            for _ in range(10):
                calls = [asyncio.ensure_future(client.publish("n", number)) for number in range(50)]
                await asyncio.sleep(0)
                relay.cut()
                for outcome in await asyncio.gather(*calls, return_exceptions=True):
                    assert not isinstance(outcome, BaseException) or isinstance(outcome, ConnectionLost)
                await client.ping()
            assert len(client._session._calls) == 0

    run(body())


def test_an_orderly_restart_looks_the_same(launcher: Launcher, run: Run) -> None:
    async def body() -> None:
        async with quarterdeck.connect(endpoint=launcher.endpoint, timeout_s=60) as client:
            directives, events = client.directives(), client.events("lagged")
            assert await asyncio.to_thread(launcher.stop) == 0
            assert isinstance(await anext(directives), Shutdown)
            await asyncio.to_thread(launcher.restart)
            assert isinstance(await anext(events), RunChanged)

    run(body())
