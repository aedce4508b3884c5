"""The blocking front over a real socket, whose other end says what each test wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import quarterdeck
from quarterdeck.client.backoff import Backoff
from quarterdeck.client.blocking import BlockingClient
from quarterdeck.client.front import terms_from
from quarterdeck.errors import CommandRefused, ConnectionLost, LocalProtocolError, NoLauncher, Timeout
from quarterdeck.schema.commands import Ping, Publish, StartProcess
from quarterdeck.schema.events import Published
from quarterdeck.schema.replies import Pong, Shutdown
from tests.client import lines
from tests.client.lines import version_of
from tests.client.scripted import Peer, Scripted, scripted


def _answer_pings(peer: Peer, count: int) -> None:
    for _ in range(count):
        command = peer.hear_cmd("ping")
        peer.say(lines.pong(command["id"], command["nonce"]))


def test_a_client_registers_asks_and_says_goodbye() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        register = peer.welcome(at=3, client_id=5)
        assert (register["kind"], register["name"], register["pid"]) == ("srv", "indexer", os.getpid())
        assert register["version"] == f"quarterdeck-python/{quarterdeck.__version__}"
        _answer_pings(peer, 1)
        peer.farewell()

    with (
        scripted(script) as launcher,
        quarterdeck.connect_blocking(kind="srv", name="indexer", endpoint=launcher.endpoint) as client,
    ):
        assert isinstance(client.ping(), Pong)
        assert client.ping.__doc__
        assert (client.client_id, client.run_id, client.launcher_pid) == (5, "run-1", 99)
        assert (client.launcher_version, client.version, client.connected) == ("0.1.0", 3, True)
        assert client.cursor == quarterdeck.Cursor("run-1", 3)
        assert client.endpoint == launcher.endpoint
        assert client.mirror is None
    assert not client.connected


def test_nobody_listens(tmp_path: object) -> None:
    with pytest.raises(NoLauncher):
        quarterdeck.connect_blocking(endpoint=f"{tmp_path}/s.sock")


def test_a_refused_registration_is_raised() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.say(lines.error("too_many_connections", fatal=True))
        peer.close()

    with scripted(script) as launcher, pytest.raises(CommandRefused, match="too_many_connections"):
        quarterdeck.connect_blocking(endpoint=launcher.endpoint)


def test_a_launcher_that_never_answers_is_a_timeout() -> None:
    def script(launcher: Scripted) -> None:
        launcher.accept().drain()

    with scripted(script) as launcher, pytest.raises(Timeout, match="register"):
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, timeout_s=0.05)


def test_events_that_arrive_during_calls_are_given_afterwards() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1), lines.spawned(2, 4))
        _answer_pings(peer, 1)
        peer.say(lines.published(3))
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        client.ping()
        events = client.events("published")
        assert [version_of(next(events)), version_of(next(events))] == [1, 3]


def test_waiting_for_an_event_can_time_out_and_go_on() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.until("timed out")
        peer.say(lines.published(1))
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        events = client.events(timeout_s=0.01)
        with pytest.raises(Timeout, match="no event"):
            next(events)
        launcher.reach("timed out")
        events.timeout_s = 30
        assert isinstance(next(events), Published)


def test_an_answer_that_is_late_belongs_to_nobody() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        late = peer.hear_cmd("ping")
        launcher.until("timed out")
        peer.say(lines.pong(late["id"], 1))
        _answer_pings(peer, 1)
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint, timeout_s=5) as client:
        client._session.terms = terms_from(pid=None, version=None, events=(), timeout_s=0.01)
        with pytest.raises(Timeout, match="ping: no answer"):
            client.ping(1)
        client._session.terms = terms_from(pid=None, version=None, events=(), timeout_s=30)
        launcher.reach("timed out")
        assert client.ping(2).nonce == 2


def test_ctrl_c_while_waiting_leaves_the_client_usable() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        first = peer.hear_cmd("ping")
        signal.pthread_kill(main or 0, signal.SIGINT)
        launcher.until("interrupted")
        peer.say(lines.published(1), lines.pong(first["id"], 1))
        _answer_pings(peer, 1)
        peer.farewell()

    main = threading.main_thread().ident
    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        with pytest.raises(KeyboardInterrupt):
            client.ping(1)
        launcher.reach("interrupted")
        assert client.ping(2).nonce == 2
        assert version_of(next(client.events())) == 1
        assert client.connected


def test_an_interrupt_between_reading_and_knowing_makes_it_resume() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.until("ready")
        peer.say(lines.published(1))
        peer.hear_end()
        peer = launcher.accept()
        assert peer.welcome()["subscribe"]["since"] == 0
        peer.say(lines.published(1))
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        take = client._session.receive

        def interrupted(received: bytes) -> None:
            client._session.receive = take  # type: ignore[method-assign]
            raise KeyboardInterrupt

        client._session.receive = interrupted  # type: ignore[method-assign]
        events = client.events()
        launcher.reach("ready")
        with pytest.raises(KeyboardInterrupt):
            next(events)
        assert version_of(next(events)) == 1


def test_a_lost_connection_is_made_again_inside_the_next_call() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        status = peer.hear_cmd("report_status")
        peer.say(lines.ack(status["id"]), lines.published(1))
        peer.hear_cmd("ping")
        peer.close()
        peer = launcher.accept()
        assert peer.welcome(at=1)["subscribe"]["since"] == 1
        assert peer.hear_cmd("report_status")["status"] == {"n": 1}
        peer.say(lines.published(2))
        _answer_pings(peer, 1)
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        client.report_status({"n": 1})
        with pytest.raises(ConnectionLost):
            client.ping()
        assert client.ping() is not None
        events = client.events()
        assert [version_of(next(events)), version_of(next(events))] == [1, 2]


def test_a_launcher_that_stays_away_is_a_timeout_and_the_client_goes_on_trying() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        launcher.stop_listening()
        peer.close()
        launcher.until("timed out")
        launcher.listen()
        launcher.reach("listening")
        peer = launcher.accept()
        peer.welcome()
        _answer_pings(peer, 1)
        peer.farewell()

    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    with scripted(script) as launcher:
        terms = terms_from(pid=None, version=None, events=("*",), timeout_s=4.0)
        backoff = Backoff(lambda: 255)
        client = BlockingClient(terms, launcher.endpoint, clock=lambda: now[0], sleep=sleep, backoff=backoff)
        client.open()
        with client:
            with pytest.raises(ConnectionLost):  # it reads the end before, or after, it wrote the ping
                client.ping()
            with pytest.raises(Timeout, match="did not come back"):
                client.ping()
            assert [round(each, 2) for each in slept[:7]] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 0.85]
            launcher.reach("timed out")
            launcher.until("listening")
            assert client.ping() is not None


def test_without_reconnect_the_iterator_raises_what_ended_the_client() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1))
        peer.close()

    with (
        scripted(script) as launcher,
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, reconnect=False) as client,
    ):
        events = client.events()
        assert version_of(next(events)) == 1
        with pytest.raises(ConnectionLost):
            next(events)


def test_without_reconnect_a_shutdown_ends_the_iterators_quietly() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1), lines.shutdown())
        peer.close()

    with (
        scripted(script) as launcher,
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, reconnect=False) as client,
    ):
        directives = client.directives()
        assert [version_of(event) for event in client.events()] == [1]
        assert list(directives) == [Shutdown("user_exit", 0)]


def test_a_refusal_of_a_command_without_an_answer_is_kept() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        assert "id" not in peer.hear_cmd("start_process")
        peer.say(lines.error("unknown_process"))
        _answer_pings(peer, 1)
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        client.send(StartProcess(name="x"))
        client.call(Ping(nonce=1))
        assert [error.code for error in client.errors] == ["unknown_process"]


def test_a_launcher_that_reads_nothing_until_it_is_read_from_stops_nobody() -> None:
    big = "x" * 60_000

    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        for version in range(1, 41):  # more than the sockets hold: it waits here until the client reads
            peer.say(lines.published(version, payload=big))
        for _ in range(40):
            peer.hear_cmd("publish")
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        for _ in range(40):
            client.send(Publish(topic="t", payload=big))
        events = client.events()
        assert [version_of(next(events)) for _ in range(40)] == list(range(1, 41))


def test_raw_lines_go_out_as_they_are_and_every_line_comes_back() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        assert peer._reader.readline() == b"nonsense\n"
        peer.say(lines.error("invalid_command"))
        command = peer.hear_cmd("publish")
        peer.say(lines.published(1), lines.line(event="ack", version=1, id=command["id"]))
        fence = peer.hear_cmd("ping")
        peer.say(lines.published(2), lines.line(event="pong", nonce=0, version=2, id=fence["id"]))
        peer.farewell()

    def given() -> Iterator[bytes]:
        yield b"nonsense"
        yield b'{"cmd":"publish","topic":"t","payload":1,"id":"mine"}\n'

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        came = list(client.request_lines(given()))
        assert came == [
            lines.error("invalid_command"),
            lines.published(1),
            lines.line(event="ack", version=1, id="mine"),
            lines.published(2),
        ]
        assert not client.errors
        assert version_of(next(client.events())) == 1


def test_raw_lines_with_a_goodbye_end_with_the_connection() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.hear_cmd("goodbye")
        peer.say(lines.ack(7))
        peer.close()

    with (
        scripted(script) as launcher,
        quarterdeck.connect_blocking(endpoint=launcher.endpoint, reconnect=False) as client,
    ):
        assert list(client.request_lines([b'{"cmd":"goodbye","id":7}'])) == [lines.ack(7)]


def test_raw_lines_end_with_a_fatal_error_and_fail_with_any_other_end() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.hear_cmd("ping")
        peer.say(lines.error("lagging", fatal=True))
        peer.close()
        peer = launcher.accept()
        peer.welcome()
        peer.hear_cmd("ping")
        peer.close()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        assert list(client.request_lines([])) == [lines.error("lagging", fatal=True)]
        with pytest.raises(ConnectionLost):
            list(client.request_lines([]))
        client.abort()


def test_after_a_fork_the_child_is_told_and_the_parent_goes_on() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        _answer_pings(peer, 1)
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        events = client.events()
        client._owner_pid += 1  # as in a child: the process is another than the one that made the client
        for use in (client.ping, client.events, lambda: next(events), lambda: client.send(Ping(nonce=1))):
            with pytest.raises(LocalProtocolError, match="after a fork"):
                use()
        client._owner_pid -= 1
        assert client.ping() is not None


def test_a_closed_client_says_so() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.farewell()

    with scripted(script) as launcher:
        client = quarterdeck.connect_blocking(endpoint=launcher.endpoint)
        events = client.events()
        client.goodbye()
        client.close()
        assert list(events) == []
        with pytest.raises(LocalProtocolError, match="closed"):
            client.ping()


def test_an_iterator_that_nobody_holds_takes_nothing_any_more() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.say(lines.published(1), lines.published(2))
        peer.farewell()

    with scripted(script) as launcher, quarterdeck.connect_blocking(endpoint=launcher.endpoint) as client:
        for event in client.events():
            assert version_of(event) == 1
            break
        assert len(client._session.follower.events) == 0
        assert version_of(next(client.events())) == 2


def test_it_never_imports_asyncio() -> None:
    code = """
import sys
import quarterdeck
assert "msgspec" not in sys.modules
try:
    quarterdeck.connect_blocking(endpoint="/nonexistent/s.sock")
except quarterdeck.NoLauncher:
    pass
costly = {"asyncio", "logging", "random", "platformdirs", "psutil", "pathlib", "quarterdeck.core.mirror"}
assert not costly & set(sys.modules), costly & set(sys.modules)
"""
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
