"""Whether the host's user interface thread answers, over real sockets: what it is asked, and what is told of it."""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

from tests.server.conftest import Launch
from tests.server.journalled import replayed
from tests.server.launched import Launched
from tests.server.raw import Line, Raw, publish

PROBE = "probe_ui_thread"


def host_of(launched: Launched) -> Raw:
    """A host that is told nothing but of itself, so that what it reads is what it is asked."""
    return launched.join("host", subscribe={"events": ["host_responsive", "host_unresponsive"]})


def probes(lines: list[Line]) -> list[int]:
    """The nonces of the probes among these lines."""
    return [line["nonce"] for line in lines if line.get("cmd") == PROBE]


def alive(nonce: int, **members: Any) -> Line:
    return {"cmd": "report_ui_thread_alive", "nonce": nonce, **members}


def row_of(watcher: Raw, host: Raw) -> Line:
    """The host in a snapshot."""
    return next(row for row in watcher.snapshot()["processes"] if row["kind"] == "host")


def test_a_host_that_stops_answering_and_answers_again_is_told(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, probe_interval=0.1)
    host = host_of(launched)
    watcher = launched.quiet()
    told = host.until(event="host_unresponsive")
    assert told[-1]["misses"] == 3
    assert told[-1]["version"] > 0
    nonces = probes(told)
    assert len(nonces) >= 3, "a Tick that was late itself may have asked once more"
    assert len(set(nonces)) == len(nonces)
    assert all(set(line) == {"cmd", "nonce", "kind"} for line in told[:-1])
    assert row_of(watcher, host)["unresponsive"] is True
    newest = probes(host.until(cmd=PROBE))[-1]
    host.send(alive(newest, id=7))
    told = host.until(id=7)
    (again,) = [line for line in told if line.get("event") == "host_responsive"]
    assert again["pid"] > 0
    assert again["rtt_ms"] >= 0
    assert told[-1]["event"] == "ack"
    assert told[-1]["version"] >= again["version"]
    host.until(event="host_unresponsive")  # it has stopped again
    launched.end()
    run_id = watcher.run_id
    assert replayed(launched.folder, run_id).is_equal


def test_an_answer_to_no_probe_is_accepted_and_changes_nothing(launch: Launch) -> None:
    launched = launch(probe_interval=0.1, probe_misses=1)
    host = host_of(launched)
    host.until(event="host_unresponsive")
    host.send(alive(2**64 - 1, id=1))
    assert host.until(id=1)[-1]["event"] == "ack"
    assert row_of(launched.quiet(), host)["unresponsive"] is True


def test_a_launcher_that_was_stopped_itself_holds_it_against_nobody(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop, probe_interval=1, probe_misses=1)
    host = host_of(launched)
    for _ in itertools.count():
        host.until(cmd=PROBE)
        os.kill(launched.pid, signal.SIGSTOP)
        try:
            # Longer than the answer has, and than a Tick may be late. Anything that comes now came before it stopped.
            was_in_time = not host.is_readable(2.5)
        finally:
            os.kill(launched.pid, signal.SIGCONT)
        if was_in_time:
            break
    host.expect(cmd=PROBE)  # asked again, and nothing told


def test_who_does_not_read_is_not_sent_probes_for_ever(launch: Launch) -> None:
    launched = launch(probe_interval=0.05, probe_misses=40, replies=4)
    host = launched.connect(receive_bytes=4096)
    host.register(launched.new_pid(), "host", subscribe={"events": ["published"]})
    watcher = launched.join(subscribe={"events": ["host_*"]})
    for _ in range(40):  # more than the sockets between us hold
        watcher.send(publish("x" * 60_000, "flood"))
    watcher.until(event="host_unresponsive")
    came = probes(host.ping())
    assert len(came) < 30, "40 were due, 4 may wait, and some are sent while it reads"
    while len(came) < 4:  # who reads slowly finds newer ones behind the answer, in place of those that waited before it
        came += probes(host.until(cmd=PROBE))
    host.send(alive(probes(host.until(cmd=PROBE))[-1]))
    watcher.until(event="host_responsive")


def test_nobody_is_asked_where_that_is_not_wanted(launch: Launch) -> None:
    launched = launch(probe_interval=0.05, probe_ui_thread="false")
    host = host_of(launched)
    other = launch(probe_interval=0.05, probe_misses=4)  # by then the first one would have been asked, too
    host_of(other).until(event="host_unresponsive")
    assert probes(host.ping()) == []
