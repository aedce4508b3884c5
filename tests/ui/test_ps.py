"""ps: a real launcher with real children, what descends from them, clients that are no children, and who has gone."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from quarterdeck.client import connect_blocking
from quarterdeck.ui.system_processes import cgroup_of
from tests.ui.decks import process
from tests.ui.running import PATIENCE_S, Launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guard has run on Linux only")

FAMILY = """
import os, subprocess, sys
import quarterdeck
reader, writer = os.pipe()
if sys.argv[1] == "host":
    subprocess.Popen(["sh", "-c", "(setsid sleep 10000 &)"]).wait()  # a daemon, which goes to the guard
    tab = [sys.executable, __file__, "renderer", str(writer)]
    subprocess.Popen(tab, pass_fds=[writer], start_new_session=True)
    os.read(reader, 1)
client = quarterdeck.connect_blocking(kind=sys.argv[1], name=sys.argv[1] + " of web")
client.report_status({"is": sys.argv[1]})
if sys.argv[1] == "renderer":
    os.write(int(sys.argv[2]), b"!")
for _ in client.events():
    pass
"""
DECK = """
[quarterdeck]
on_launcher_death = "adopt"
[process.web]
command = ["PYTHON", "family.py", "host"]
kind = "host"
[process.fails]
command = ["sh", "-c", "exit 7"]
ready = "running"
restart = "never"
[process.leaks]
command = ["sh", "-c", "setsid sleep 10000 & exit 0"]
ready = "running"
restart = "never"
[process.lazy]
command = "sleep 10000"
ready = "running"
autostart = false
"""


@pytest.fixture
def deck(folder: Path) -> Iterator[Launcher]:
    (folder / "family.py").write_text(FAMILY)
    (folder / "quarterdeck.toml").write_text(DECK.replace("PYTHON", sys.executable))
    launcher = Launcher(folder, "--config", str(folder / "quarterdeck.toml"))
    yield launcher
    launcher.stop()


def until(launcher: Launcher, event: str, name: str) -> None:
    watch = launcher.watch()
    watch.until(event, name=name)
    watch.stop()


def rows_of(launcher: Launcher) -> list[dict[str, Any]]:
    return [json.loads(line) for line in launcher.run("ps", "--json").stdout.splitlines()]


def test_everybody_is_in_the_tree(deck: Launcher) -> None:
    until(deck, "child_ready", "web")
    until(deck, "child_failed", "fails")
    until(deck, "child_exited", "leaks")
    with connect_blocking(kind="tool", name="onlooker", endpoint=deck.endpoint):
        rows = rows_of(deck)
        lines = deck.run("ps").stdout.splitlines()
    by_role = {role: [row for row in rows if row["role"] == role] for role in ("launcher", "guard", "child", "client")}
    assert [row["pid"] for row in by_role["launcher"]] == [deck.pid]
    (guard,) = by_role["guard"]
    assert guard["parent"] == deck.pid
    fails, lazy, leaks, web = by_role["child"]
    assert (leaks["state"], leaks["code"]) == ("exited", 0)
    assert (fails["name"], fails["state"], fails["code"], fails["reason"]) == ("fails", "failed", 7, "exit code 7")
    assert (lazy["name"], lazy["state"], lazy["pid"], lazy["starts"]) == ("lazy", "stopped", None, 0)
    assert (web["name"], web["state"], web["kind"], web["parent"]) == ("web", "ready", "host", guard["pid"])
    assert [(row["name"], row["pid"]) for row in by_role["client"]] == [("onlooker", os.getpid())]

    below = {row["name"]: row for row in rows if row["role"] == "descendant"}
    assert below.keys() == {"sleep", "renderer of web"}
    assert {row["child"] for row in below.values()} == {"web"}
    assert (below["renderer of web"]["kind"], below["renderer of web"]["parent"]) == ("renderer", web["pid"])
    assert below["sleep"]["parent"] == guard["pid"]
    assert web["processes"] == 3
    assert web["memory_bytes"] > below["renderer of web"]["memory_bytes"] + below["sleep"]["memory_bytes"]
    assert web["uptime_s"] >= below["renderer of web"]["uptime_s"]
    assert {row["name"] for row in rows if row["role"] == "gone"} == {"watch"}

    names = [line[: lines[0].index("KIND")].rstrip() for line in lines[1:]]
    web_at = names.index("└─ web")
    assert names[:2] == ["launcher", "├─ guard"]
    assert sorted(name.strip(" ├└─") for name in names[web_at + 1 : web_at + 3]) == ["renderer of web", "sleep"]
    assert names[web_at + 3] == "other clients"


def test_a_daemon_that_says_nothing_of_itself_is_found_by_its_cgroup_and_else_is_nobody_s(folder: Path) -> None:
    daemon = "(setsid env -i sleep 3111 &); echo up; exec sleep 3114"
    (folder / "quarterdeck.toml").write_text(
        process("a", ["sh", "-c", daemon]) + process("b", ["sh", "-c", "echo up; exec sleep 3115"])
    )
    launcher = Launcher(folder, "--config", str(folder / "quarterdeck.toml"))
    try:
        until(launcher, "child_ready", "a")
        until(launcher, "child_ready", "b")
        rows = rows_of(launcher)
        by_name = {row["name"]: row for row in rows}
        (found,) = [row for row in rows if row["command"] == "sleep 3111"]
        room = cgroup_of(by_name["guard"]["pid"])
        if cgroup_of(found["pid"]) != room:
            assert (found["child"], by_name["a"]["processes"], by_name["b"]["processes"]) == ("a", 2, 1)
            cgroup = json.loads((folder / "guard.json").read_text())["cgroup"]
            Path(cgroup).parent.joinpath("cgroup.procs").write_text(f"{found['pid']}\n")
            (found,) = [row for row in rows_of(launcher) if row["command"] == "sleep 3111"]
        assert cgroup_of(found["pid"]) == room
        assert (found["child"], found["depth"]) == (None, 1)
        (line,) = [line for line in launcher.run("ps").stdout.splitlines() if line.endswith("sleep 3111")]
        assert line.startswith("└─ sleep")
    finally:
        launcher.stop()


def test_a_guard_that_another_launcher_started_is_found_with_its_children(deck: Launcher) -> None:
    watch = deck.watch()
    watch.until("child_ready", name="web")
    watch.until("process_status_changed", status={"is": "host"})  # cut off before, it would never have been a client
    watch.stop()
    before = {row["role"]: row["pid"] for row in rows_of(deck) if row["role"] in ("guard", "child") and row["pid"]}
    deck.process.send_signal(signal.SIGKILL)
    deck.stop()
    again = Launcher(deck.folder, "--config", str(deck.folder / "quarterdeck.toml"))
    try:
        until(again, "child_ready", "web")
        rows = rows_of(again)
        assert {row["role"]: row["pid"] for row in rows if row["role"] in ("guard", "child") and row["pid"]} == before
        guard = next(row for row in rows if row["role"] == "guard")
        assert guard["parent"] != again.pid
        process = psutil.Process(guard["pid"])
    finally:
        code = again.stop()
    assert code == 0
    process.wait(PATIENCE_S)


def test_a_diagnosis_says_what_was_left_behind_and_who_had_started_it(deck: Launcher) -> None:
    until(deck, "child_exited", "leaks")
    (left,) = json.loads(deck.run("diag", "--json").stdout)["left_behind"]
    assert re.fullmatch(r"leaks \(version \d+\): pid \d+ \(.*sleep 10000.*\), started .*", left)
    assert left in deck.run("diag").stdout.splitlines()
