"""500 clients come, work and go in random order; whoever stays knows the truth, and nothing leaks."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from tests.server.conftest import Launch
from tests.server.raw import Line, Raw, is_stream, publish

Row = dict[str, Any]


def folded(snapshot: Line, lines: Iterable[Line]) -> list[Row]:
    """The processes of a snapshot, and the stream after it, as the next snapshot should list them."""
    rows: dict[int, Row] = {row["pid"]: dict(row) for row in snapshot["processes"]}
    version = snapshot["version"]
    for line in lines:
        if not is_stream(line):
            continue
        version += 1
        assert line["version"] == version
        if line["event"] == "process_spawned":
            rows[line["pid"]] = spawned(line)
        elif line["event"] == "process_exited":
            rows[line["pid"]] |= {"state": "exited", "code": line["code"], "exited_version": version}
            exits = sorted(row["exited_version"] for row in rows.values() if row["exited_version"] is not None)
            rows = {pid: row for pid, row in rows.items() if row["exited_version"] not in exits[:-256]}
        elif line["event"] == "process_status_changed":
            rows[line["pid"]]["status"] = line["status"]
    return [rows[pid] for pid in sorted(rows)]


def spawned(line: Line) -> Row:
    kept = {key: line[key] for key in ("pid", "kind", "name", "client_version", "spawned_at")}
    return {**kept, "state": "running", "code": None, "exited_version": None, "status": None}


class Member:
    """A client that keeps what it is sent from its first snapshot on."""

    def __init__(self, client: Raw, pid: int, subscribe: Line) -> None:
        self.client = client
        self.pid = pid
        self.knows_all = "events" not in subscribe
        client.send({"cmd": "register", "kind": "srv", "pid": pid, "version": "1", "subscribe": subscribe})
        client.until(event="registered")
        self.start = client.line() if subscribe.get("snapshot") else {}
        client.expect(event="subscribed")

    def act(self, drawn: random.Random) -> None:
        self.client.send(
            drawn.choice(
                [
                    publish(drawn.random()),
                    {"cmd": "report_status", "status": {"n": drawn.random()}},
                    {"cmd": "ping", "nonce": 0},
                ]
            )
        )

    def leave(self, drawn: random.Random) -> None:
        how = drawn.randrange(3)
        if how:
            self.client.send({"cmd": "goodbye"})
        if how == 1:
            self.client.half_close()
        self.client.close()


def test_500_clients_in_random_order(launch: Launch, loop: str) -> None:
    drawn = random.Random(500)
    launched = launch(loop=loop)
    watcher = launched.quiet()
    before = launched.descriptors()
    members: list[Member] = []
    pids = [launched.new_pid() for _ in range(500)]
    gone: list[int] = []
    arrived = 0
    while arrived < 500:
        if drawn.random() < 0.45:
            pid = gone.pop(drawn.randrange(len(gone))) if gone and drawn.random() < 0.3 else pids[arrived]
            arrived += pid == pids[arrived]
            subscribe: Line = {"events": ["process_exited"]} if drawn.random() < 0.8 else {"snapshot": True}
            members.append(Member(launched.connect(), pid, subscribe))
        elif members and drawn.random() < 0.4:
            member = members.pop(drawn.randrange(len(members)))
            member.leave(drawn)
            gone.append(member.pid)
        elif members:
            drawn.choice(members).act(drawn)
    watcher.ping()
    truth = None
    for member in members:
        if member.knows_all:
            member.client.send({"cmd": "get_snapshot"})
            *lines, snapshot = member.client.until(event="snapshot")
            truth = truth or snapshot
            assert folded(member.start, lines) == snapshot["processes"] == truth["processes"]
    assert truth is not None
    for member in members:
        member.leave(drawn)
    watcher.eventually(lambda: launched.descriptors() == before, "every descriptor is given back")
    assert sum(row["state"] == "running" for row in watcher.snapshot()["processes"]) == 1
