"""Vitals: rates from two looks."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from quarterdeck.schema.replies import Metrics
from quarterdeck.schema.types import ChildRow, ConnectionRow, SampleRow
from quarterdeck.ui.vitals import Look, Usage, vitals_of


def look(uptime_s: float, run: str = "r", *, commands: int = 0, cpu_s: float = 0.0, clients: Any = ()) -> Look:
    values: dict[str, Any] = {"uptime_seconds": uptime_s, "stream_version": 10 * uptime_s, "connections_open": 2}
    samples = [SampleRow(f"quarterdeck_{name}", {}, value) for name, value in values.items()]
    samples += [SampleRow("quarterdeck_commands_total", {"cmd": cmd}, commands) for cmd in ("ping", "publish")]
    samples.append(SampleRow("quarterdeck_info", {"version": "9", "run_id": run}, 1))
    rows = tuple(
        ConnectionRow(
            client_id=number, pid=number, kind="tool", name="n", cursor=cursor, lag=0, lag_bytes=0, missed=0,
            commands=int(5 * uptime_s), received_bytes=100, sent_bytes=int(1000 * uptime_s), waiting_replies=0,
            waiting_bytes=0, blocked=False,
        )
        for number, cursor in clients
    )  # fmt: skip
    children = (ChildRow("one", "running", 5, 1, 3),)
    return Look(Metrics(1, run, tuple(samples), rows), children, {1: (1000, cpu_s)})


def test_rates_are_over_the_launchers_own_time() -> None:
    before = look(10.0, commands=4, cpu_s=1.0, clients=[(1, 20), (2, None)])
    vitals = vitals_of(look(14.0, commands=24, cpu_s=3.0, clients=[(1, 60), (2, None), (3, 7)]), 1, before)
    launcher = vitals.launcher
    assert (launcher.version, launcher.events_per_s, launcher.commands_per_s) == ("9", 10.0, 10.0)
    assert (launcher.memory_bytes, launcher.cpu_percent) == (1000, 50.0)
    first, silent, new = vitals.clients
    assert (first.events_per_s, first.commands_per_s, first.sent_per_s, first.cpu_percent) == (10.0, 5.0, 1000.0, 50.0)
    assert (silent.events_per_s, silent.commands_per_s, silent.memory_bytes) == (None, 5.0, None)
    assert (new.events_per_s, new.commands_per_s, new.sent_bytes) == (None, None, 14_000)
    assert [(child.name, child.restarts) for child in vitals.children] == [("one", 2)]


def test_there_is_no_rate_without_a_look_before_nor_across_runs_nor_in_no_time() -> None:
    now = look(14.0, clients=[(1, 60)])
    for before in (None, look(99.0, "another", clients=[(1, 1)]), now):
        vitals = vitals_of(now, 1, before)
        assert vitals.launcher.events_per_s is None
        assert vitals.clients[0].commands_per_s is None


def test_what_a_process_takes_is_known_while_it_lives_and_of_nobody_else() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    usage = Usage()
    pids = [os.getpid(), process.pid, 2**31 - 1, 2**32 - 1, 10**30]
    assert usage.of(pids).keys() == {os.getpid(), process.pid}
    process.communicate(b"\n")
    assert usage.of(pids).keys() == {os.getpid()}
