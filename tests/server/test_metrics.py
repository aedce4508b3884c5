"""What a real launcher counts of what its clients do: each count is compared with what was done."""

from __future__ import annotations

import asyncio
import os
import resource

from quarterdeck.drivers.fake import FakeClock
from quarterdeck.server.alarm import Alarm
from quarterdeck.server.metrics import METRICS, histogram
from quarterdeck.server.tally import Timing
from tests.server.conftest import Launch
from tests.server.metered import read
from tests.server.raw import encoded, publish, register


def test_commands_are_counted_by_name_and_outcome(launch: Launch) -> None:
    launched = launch()
    asker = launched.quiet()
    client = launched.quiet(kind="srv")
    client.send(*[{"cmd": "ping", "nonce": number} for number in range(50)], publish(1), publish(2))
    client.send_bytes(b'not json\n{"cmd":"ping"}\n{"cmd":"publish","topic":"","payload":1}\n')
    client.send({"cmd": "quit", "reason": "forced"}, {"cmd": "shutdown"}, {"cmd": "get_events", "since": 99})
    client.ping()
    early = launched.connect()
    early.send({"cmd": "ping", "nonce": 1}, publish(1))
    early.rest()
    reading = read(asker)
    assert reading("commands_total", cmd="ping", outcome="ok") == 51
    assert reading("commands_total", cmd="ping", outcome="invalid_command") == 1
    assert reading("commands_total", cmd="ping", outcome="not_registered") == 1
    assert reading("commands_total", cmd="publish", outcome="ok") == 2
    assert reading("commands_total", cmd="publish", outcome="invalid_command") == 1
    assert reading("commands_total", cmd="publish", outcome="not_registered") == 1
    assert reading("commands_total", cmd="unknown", outcome="invalid_command") == 1
    assert reading("commands_total", cmd="quit", outcome="forbidden") == 1
    assert reading("commands_total", cmd="shutdown", outcome="misrouted") == 1
    assert reading("commands_total", cmd="get_events", outcome="invalid_command") == 1
    assert reading("commands_total", cmd="register", outcome="ok") == 2
    assert reading("commands_total", cmd="get_metrics", outcome="ok") == 1
    assert reading("events_total", event="published") == 2
    assert reading("inputs_total", source="client") > 4


def test_connections_come_register_are_refused_and_leave(launch: Launch) -> None:
    launched = launch(connections=4)
    asker = launched.quiet(pid=7, kind="host")
    launched.quiet(kind="srv").close()
    leaver = launched.quiet(kind="srv")
    leaver.send({"cmd": "goodbye"})
    leaver.rest()
    asker.eventually(lambda: read(asker)("connections_open") == 1, "both have gone")
    twice, *_ = [launched.connect() for _ in range(3)]
    launched.connect().until(event="error", code="too_many_connections")
    asker.eventually(lambda: read(asker)("connections_open") == 4, "the last one has gone")
    twice.send(register(7))
    twice.until(event="error", code="already_registered")
    twice.expect_end()
    reading = read(asker)
    assert (reading("connections_open"), reading("connections_unregistered")) == (3, 2)
    assert reading.of("connections_refused_total") == {"too_many_connections": 1, "already_registered": 1}
    assert reading("connections_total") == 7
    assert reading.of("registered") == {"host": 1}
    assert reading.of("registrations_total") == {"host": 1, "srv": 2}
    assert reading.of("exits_total") == {"disconnected": 1, "goodbye": 1}
    assert reading.of("process_records") == {"running": 1, "exited": 2}
    assert reading.connection(7)["kind"] == "host"


def test_who_never_registers_is_counted_as_refused(launch: Launch) -> None:
    launched = launch(register_timeout=0.1)
    asker = launched.quiet()
    launched.connect().until(event="error", code="register_timeout")
    assert read(asker).of("connections_refused_total") == {"register_timeout": 1}


def test_bytes_are_those_that_went_over_the_sockets(launch: Launch, loop: str) -> None:
    launched = launch(loop=loop)
    pid = launched.new_pid()
    client = launched.connect()
    sent = encoded(register(pid, name="counted"), *[publish("x" * 1000)] * 200, {"cmd": "ping", "nonce": 1})
    client.send_bytes(sent)
    received = b""
    while b'"pong"' not in received or not received.endswith(b"\n"):
        received += client.sock.recv(65536)
    gone = launched.quiet()
    gone.close()
    asker = launched.quiet()
    reading = read(asker)
    row = reading.connection(pid)
    later = b""
    while later.count(b"\n") < 3:  # the two others came, and one left
        later += client.sock.recv(65536)
    assert row["received_bytes"] == len(sent)
    assert row["sent_bytes"] == len(received) + len(later)
    assert row["commands"] == 202
    assert (row["name"], row["kind"], row["lag"], row["waiting_replies"]) == ("counted", "tool", 0, 0)
    assert reading("received_bytes_total") > len(sent)
    assert reading("sent_bytes_total") > row["sent_bytes"]


def test_a_reader_that_stopped_is_seen_to_lag_and_is_told_so_once(launch: Launch) -> None:
    launched = launch(journal="off", ring_events=100)
    asker = launched.quiet()
    slow = launched.connect(receive_bytes=4096)
    slow.register(pid := launched.new_pid())
    talker = launched.quiet()
    talker.send(*[publish("x" * 60_000, str(number)) for number in range(40)])
    talker.ping()
    reading = read(asker)
    row = reading.connection(pid)
    assert row["blocked"]
    assert 0 < row["lag"] <= 41
    assert row["cursor"] + row["lag"] == reading("stream_version")
    assert 60_000 * (row["lag"] - 1) < row["lag_bytes"] <= reading("ring_bytes")
    assert row["missed"] == 0
    assert (reading("lagging_subscribers"), reading("lag_events_max")) == (1, row["lag"])
    assert reading("blocked_connections") == 1
    talker.send(*[publish(number) for number in range(200)])
    talker.ping()
    lagged = slow.until(event="lagged")[-1]
    slow.ping()
    reading = read(asker)
    assert reading("lagged_total", slow="gap") == 1
    row = reading.connection(pid)
    assert (row["missed"], row["lag"], row["lag_bytes"]) == (lagged["to"] - lagged["from"] + 1, 0, 0)
    assert reading("lagging_subscribers") == 0
    assert (reading("ring_events"), reading("ring_oldest_version")) == (100, reading("stream_version") - 99)


def test_the_journal_is_counted(launch: Launch) -> None:
    launched = launch()
    client = launched.quiet()
    for number in range(5):
        client.send({**publish(number), "id": number})
        client.until(event="ack", id=number)
    reading = read(client)
    assert reading.of("journal") == {"ok": 1}
    assert reading("journal_steps_total") == 6
    assert reading("journal_commit_seconds_count") == 6
    assert reading("journal_commit_seconds_bucket", le="+Inf") == 6
    assert reading("journal_commit_seconds_sum") > 0
    assert reading("journal_bytes_total") > 6 * 100
    assert reading("journal_waiting_bytes") == 0
    assert reading("turn_seconds_count") >= 6


def test_without_a_journal_nothing_is_said_of_it(launch: Launch) -> None:
    reading = read(launch(journal="off").quiet())
    assert reading.of("journal") == {"off": 1}
    assert not [name for name in reading.names if name.startswith("quarterdeck_journal_")]


def test_windows_and_what_waits_for_them(launch: Launch) -> None:
    launched = launch()
    host, asker = launched.quiet(kind="host"), launched.quiet()
    for label in ("a", "b"):
        host.send({"cmd": "report_window_opened", "label": label, "kind": "full_instance", "parent_label": None})
    host.send({"cmd": "report_pool_window_added", "label": "p"})
    for hwnd in (1, 2, 3):
        host.send({"cmd": "report_hwnd_opened", "hwnd": hwnd, "class_name": "", "title": "", "label_hint": "later"})
    host.send({"cmd": "report_backend_window_id_registered", "label": "a", "window_id": "7"})
    host.ping()
    reading = read(asker)
    assert reading.of("windows") == {"owned": 2, "orphaned": 0}
    assert [reading(name) for name in ("pool_windows", "pending_handles", "backend_ids", "sagas")] == [1, 3, 1, 0]
    host.close()
    asker.eventually(lambda: read(asker).of("windows") == {"owned": 0, "orphaned": 2}, "the windows are orphaned")


def test_the_launcher_says_who_it_is_and_what_it_takes(launch: Launch) -> None:
    launched = launch()
    client = launched.quiet()
    reading = read(client)
    values = {row["name"]: row["value"] for row in reading.reply["samples"]}
    assert reading("info", version=client.registered["launcher_version"], run_id=client.run_id) == 1
    assert reading("lifecycle", phase="starting") == 1
    assert values["process_open_fds"] == launched.descriptors()
    assert values["process_resident_memory_bytes"] > 1 << 20
    assert values["process_cpu_seconds_total"] > 0
    assert abs(values["process_start_time_seconds"] - os.stat(f"/proc/{launched.pid}").st_ctime) < 60
    assert read(client)("uptime_seconds") >= reading("uptime_seconds") > 0


def test_a_pause_for_want_of_descriptors_is_counted(launch: Launch) -> None:
    launched = launch()
    asker = launched.quiet()
    _, hard = resource.prlimit(launched.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(launched.pid, resource.RLIMIT_NOFILE, (launched.descriptors(), hard))
    launched.connect()
    asker.eventually(lambda: read(asker)("accept_pauses_total") > 0, "it cannot accept")
    resource.prlimit(launched.pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_a_timer_that_rings_too_late_is_loop_lag() -> None:
    async def rung() -> Alarm:
        clock = FakeClock()
        rang = asyncio.Event()
        alarm = Alarm(asyncio.get_running_loop(), clock, rang.set)
        alarm.set(0)
        clock.advance(50)  # the loop comes to it no sooner
        await rang.wait()
        return alarm

    lateness = asyncio.run(rung()).lateness
    assert (lateness.count, lateness.total_ns) == (1, 50_000_000)


def test_every_name_is_prometheus_own_way_of_naming() -> None:
    names = [metric.name.removesuffix("_total") for metric in METRICS]
    assert len(set(names)) == len(names)  # OpenMetrics knows a counter without its suffix
    for metric in METRICS:
        assert metric.name.endswith("_total") is (metric.type == "counter")
        assert metric.name.startswith(("quarterdeck_", "process_"))
        assert metric.unit or not metric.name.endswith(("_ms", "_kb"))
        assert metric.type != "histogram" or metric.unit == "seconds"
        assert metric.what[0].islower() or metric.what.startswith("1 ")
        assert not metric.what.endswith(".")


def test_a_histogram_counts_what_took_at_most_so_long() -> None:
    timing = Timing()
    for ns in (0, 4095, 4096, 5000, 1 << 40):
        timing.add(ns)
    rows = {row.labels.get("le", row.name): row.value for row in histogram("t", timing)}
    assert rows["4.096e-06"] == 2
    assert rows["1.6384e-05"] == 4
    assert rows["4.294967296"] == 4
    assert rows["+Inf"] == rows["t_count"] == 5
    assert rows["t_sum"] == (4095 + 4096 + 5000 + (1 << 40)) / 1e9
