"""A knock is a client that imports next to nothing: it says what the blocking client says, and judges nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

import quarterdeck
from quarterdeck.client.knock import Answer, knock
from quarterdeck.errors import NoLauncher, Timeout
from tests.client import lines
from tests.client.scripted import Peer, Scripted, scripted

PATIENCE_S = 30.0


def test_it_says_to_the_byte_what_the_blocking_client_says() -> None:
    said: list[list[bytes]] = []

    def script(launcher: Scripted) -> None:
        for _ in range(2):
            peer = launcher.accept()
            heard = [peer.hear_line()]
            peer.say(lines.registered(1), lines.subscribed())
            heard.append(peer.hear_line())
            peer.say(lines.pong(3, 2))
            heard.append(peer.hear_line())
            peer.close()
            said.append(heard)

    with scripted(script) as launcher:
        assert knock(launcher.endpoint, "ping", PATIENCE_S) is not None
        with quarterdeck.connect_blocking(kind="tool", name="ping", events=(), endpoint=launcher.endpoint) as client:
            client.ping()
    assert said[0] == said[1]
    assert [line.split(b'"')[3] for line in said[0]] == [b"register", b"ping", b"goodbye"]


def _answered(peer: Peer, *before_pong: bytes) -> None:
    peer.welcome(at=3, launcher_pid=7, launcher_version="1.2", not_known_here={"a": [1]})
    ping = peer.hear_cmd("ping")
    peer.say(*before_pong, lines.pong(ping["id"], ping["nonce"], 5))
    peer.farewell()


def test_it_tells_who_answered_and_what_else_is_said_is_passed_over() -> None:
    def script(launcher: Scripted) -> None:
        _answered(launcher.accept(), lines.bookmark(4), lines.line(event="of_a_newer_launcher"), lines.shutdown())

    with scripted(script) as launcher:
        answer = knock(launcher.endpoint, "ping", PATIENCE_S)
    assert isinstance(answer, Answer)
    assert answer[:3] == (7, "1.2", 5)
    assert answer.took_us > 0


def test_an_answer_may_come_in_pieces() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        register = peer.hear_cmd("register")
        for byte in lines.registered(register["id"]) + lines.subscribed():
            peer.say(bytes([byte]))
        ping = peer.hear_cmd("ping")
        peer.say(lines.pong(ping["id"], ping["nonce"]))
        peer.farewell()

    with scripted(script) as launcher:
        assert knock(launcher.endpoint, "ping", PATIENCE_S) is not None


UNUSUAL = {
    "the end of file": b"",
    "a refusal": lines.error("too_many_connections", fatal=True),
    "no JSON": b"HTTP/1.1 400 Bad Request\n",
    "no UTF-8": b"\xff\n",
    "no object": b"[1]\n",
    "no end of brackets": b"[" * 100_000 + b"\n",
    "half a line": b'{"event":',
    "a welcome that names nobody": lines.line(event="registered") + lines.subscribed() + lines.pong(3, 2),
    "somebody else's pong": lines.registered(1) + lines.subscribed() + lines.pong(4, 2),
}


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_what_is_unusual_is_left_to_the_client(unusual: str) -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.hear_cmd("register")
        peer.say(UNUSUAL[unusual])
        peer.close()

    with scripted(script) as launcher:
        assert knock(launcher.endpoint, "ping", PATIENCE_S) is None


def test_nobody_listens(tmp_path: object) -> None:
    with pytest.raises(NoLauncher):
        knock(f"{tmp_path}/s.sock", "ping", PATIENCE_S)


def _late(ask: Callable[[], object]) -> str:
    with pytest.raises(Timeout) as caught:
        ask()
    return str(caught.value)


def test_one_that_does_not_register_us_is_late_in_the_words_of_the_client() -> None:
    def script(launcher: Scripted) -> None:
        for _ in range(2):
            launcher.accept().drain()

    with scripted(script) as launcher:
        assert _late(lambda: knock(launcher.endpoint, "ping", 0.1)) == _late(
            lambda: quarterdeck.connect_blocking(events=(), endpoint=launcher.endpoint, timeout_s=0.1)
        )


def test_one_that_does_not_answer_is_late_in_the_words_of_the_client() -> None:
    def script(launcher: Scripted) -> None:
        peer = launcher.accept()
        peer.welcome()
        peer.drain()
        peer = launcher.accept()
        peer.welcome()
        peer.hear_cmd("ping")
        peer.farewell()

    with scripted(script) as launcher:
        said = _late(lambda: knock(launcher.endpoint, "ping", 0.1))
        with quarterdeck.connect_blocking(events=(), endpoint=launcher.endpoint, timeout_s=0.1) as client:
            assert said == _late(client.ping)


def test_it_imports_next_to_nothing() -> None:
    code = """
import sys
from quarterdeck.client.knock import knock
costly = {"msgspec", "quarterdeck.schema", "quarterdeck.wire", "asyncio", "logging", "pathlib", "inspect"}
assert not costly & set(sys.modules), costly & set(sys.modules)
"""
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
