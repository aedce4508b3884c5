"""The end of a launcher: who is told what in which order, and what it leaves behind (protocol, section 7)."""

from __future__ import annotations

import signal
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tests.server.conftest import Launch
from tests.server.launched import Launched
from tests.server.raw import Line, Raw, names, publish, register

QUITTING: Line = {"event": "lifecycle_phase_changed", "from": "starting", "to": "quitting"}
DEAD: Line = {"event": "lifecycle_phase_changed", "from": "quitting", "to": "dead"}


def shutdown(reason: str) -> Line:
    return {"kind": "command", "cmd": "shutdown", "reason": reason, "grace_ms": 0}


def left_behind(launched: Launched) -> None:
    """It ended well; the socket is gone, the lock files are not."""
    assert launched.wait() == 0
    assert not Path(launched.address).exists()
    for lock in (launched.folder / "launcher.lock", Path(f"{launched.address}.lock")):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def expect_end_of_run(client: Raw, reason: str, version: int) -> None:
    client.expect(**QUITTING, version=version)
    client.expect(**shutdown(reason))
    client.expect(**DEAD, version=version + 1)
    client.expect_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_run_in_order(launch: Launch, loop: str, number: signal.Signals) -> None:
    launched = launch(loop=loop)
    clients = [launched.join() for _ in range(3)]
    filtered = launched.join(subscribe={"events": ["process_exited"]})
    stranger = launched.connect()
    for client in (*clients, filtered):
        client.ping()
    launched.process.send_signal(number)
    for client in clients:
        expect_end_of_run(client, "signal", version=5)
    filtered.expect(**shutdown("signal"))
    filtered.expect_end()
    stranger.expect_end()
    left_behind(launched)


@pytest.mark.parametrize("id_", [None, "q"])
@pytest.mark.parametrize("kind", ["tool", "host"])
def test_quit_ends_the_run_in_order(launch: Launch, loop: str, kind: str, id_: str | None) -> None:
    launched = launch(loop=loop)
    quitter, other = launched.join(kind), launched.join("srv")
    for client in (quitter, other):
        client.ping()
    version = 5 if kind == "host" else 4
    quitter.send({"cmd": "quit", "reason": "last_window_closed", "id": id_}, publish("too late, or not"))
    quitting = {**QUITTING, "from": "running" if kind == "host" else "starting", "version": version - 1}
    quitter.expect(**quitting)
    if id_:
        quitter.expect(event="ack", id=id_)
    other.expect(**quitting)
    for client in (quitter, other):
        lines = client.rest()
        assert [line for line in lines if line.get("event") != "published"] == [
            shutdown("last_window_closed"),
            {**DEAD, "version": lines[-1]["version"]},
        ]
    left_behind(launched)


@pytest.mark.parametrize("kind", ["srv", "renderer"])
def test_quit_is_not_for_everybody(launch: Launch, kind: str) -> None:
    launched = launch()
    client = launched.join(kind)
    client.send({"cmd": "quit", "reason": "forced", "id": 1})
    client.expect(event="error", code="forbidden", fatal=False, id=1)
    client.send({"cmd": "quit", "reason": "because"})
    client.expect(event="error", code="invalid_command")
    assert client.ping() == []


def test_stuck_readers_do_not_hold_up_the_end(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, shutdown_flush=0.3)
    stuck = [launched.join() for _ in range(3)]
    publisher, watcher = launched.quiet(), launched.join()
    watched = 0
    for _ in range(10):
        publisher.send(*[publish("x" * 60_000)] * 8)
        publisher.ping()
        watched += names(watcher.ping()).count("published")
    assert watched == 80
    launched.process.send_signal(signal.SIGTERM)
    assert names(watcher.rest()) == ["lifecycle_phase_changed", "shutdown", "lifecycle_phase_changed"]
    left_behind(launched)
    for client in stuck:  # what the kernel already held of whole lines is still theirs
        client.sock.setblocking(True)
        assert client.sock.recv(1)


def test_reader_that_is_behind_gets_everything_at_the_end(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, shutdown_flush=30)
    reader, publisher = launched.join(), launched.quiet()
    publisher.send(*[publish("x" * 60_000)] * 80)
    publisher.ping()
    launched.process.send_signal(signal.SIGTERM)
    lines = reader.rest()
    assert names(lines[1:]) == ["published"] * 80 + ["lifecycle_phase_changed", "shutdown", "lifecycle_phase_changed"]
    left_behind(launched)


def test_second_signal_and_second_quit_change_nothing(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    client, watcher = launched.join(), launched.join()
    client.ping()
    quit_ = {"cmd": "quit", "reason": "forced"}
    client.send(quit_, quit_, quit_)
    launched.process.send_signal(signal.SIGTERM)
    launched.process.send_signal(signal.SIGTERM)
    assert names(watcher.rest()) == ["lifecycle_phase_changed", "shutdown", "lifecycle_phase_changed"]
    left_behind(launched)


def test_launcher_that_ended_can_be_started_again(launch: Launch) -> None:
    first = launch()
    run_id = first.join().run_id
    first.process.send_signal(signal.SIGTERM)
    left_behind(first)
    second = launch(first.folder)
    client = second.join()
    assert client.run_id != run_id
    assert client.registered["client_id"] == 1
    assert client.registered["version"] == 1
    client.send({"cmd": "subscribe", "since": 1, "run_id": run_id})
    client.expect(event="error", code="unknown_run")


def test_clients_that_come_and_go_meanwhile_do_not_disturb_the_end(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    watcher = launched.join()
    coming = [launched.connect() for _ in range(50)]
    for number, client in enumerate(coming):
        with suppress(BrokenPipeError, ConnectionResetError):  # the launcher may have ended by then
            client.send(register(100 + number), publish(number))
        if number % 3 == 0:
            client.close()
        if number == 25:
            launched.process.send_signal(signal.SIGTERM)
    lines = watcher.rest()
    ends = [line for line in lines if line.get("event") == "lifecycle_phase_changed" or "cmd" in line]
    assert names(ends) == ["lifecycle_phase_changed", "shutdown", "lifecycle_phase_changed"]
    assert lines[-1] == ends[-1]
    left_behind(launched)
