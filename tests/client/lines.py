"""Lines that a launcher says, as the protocol writes them, for tests that play the launcher."""

from __future__ import annotations

import json
from typing import Any

from quarterdeck.client.cursor import RunChanged, Told

RUN = "run-1"


def line(**members: Any) -> bytes:
    return json.dumps(members).encode() + b"\n"


def registered(id: int, version: int = 0, run_id: str = RUN, client_id: int = 1, **more: Any) -> bytes:
    members = {"protocol": 1, "max_line_bytes": 1_048_576, "launcher_pid": 99, "launcher_version": "0.1.0", **more}
    return line(event="registered", client_id=client_id, version=version, run_id=run_id, id=id, **members)


def subscribed(version: int = 0, truncated: bool = False, **more: Any) -> bytes:
    return line(event="subscribed", version=version, truncated=truncated, **more)


def published(version: int, topic: str = "t", payload: Any = None) -> bytes:
    return line(event="published", version=version, topic=topic, payload=payload, client_id=1)


def spawned(version: int, pid: int) -> bytes:
    return line(
        event="process_spawned",
        version=version,
        pid=pid,
        kind="tool",
        client_version="1",
        name=None,
        spawned_at="2026-01-01T00:00:00Z",
    )


def snapshot(version: int, run_id: str = RUN, pids: tuple[int, ...] = (), **more: Any) -> bytes:
    rows = [
        {
            "pid": pid,
            "kind": "tool",
            "name": None,
            "client_version": "1",
            "state": "running",
            "code": None,
            "spawned_at": "2026-01-01T00:00:00Z",
            "exited_version": None,
            "status": None,
        }
        for pid in pids
    ]
    return line(
        event="snapshot",
        version=version,
        run_id=run_id,
        lifecycle="running",
        windows=[],
        pool=[],
        instance_registry=[],
        backend_window_ids=[],
        monitors=[],
        background_service=False,
        processes=rows,
        children=[],
        sagas=[],
        journal="off",
        **more,
    )


def ack(id: int, version: int = 0) -> bytes:
    return line(event="ack", version=version, id=id)


def pong(id: int, nonce: int, version: int = 0) -> bytes:
    return line(event="pong", nonce=nonce, version=version, id=id)


def lagged(first: int, last: int) -> bytes:
    return line(event="lagged", **{"from": first, "to": last, "version": last})


def bookmark(version: int) -> bytes:
    return line(event="bookmark", version=version)


def error(code: str, *, fatal: bool = False, id: int | None = None) -> bytes:
    more = {} if id is None else {"id": id}
    return line(event="error", code=code, message=f"{code} it is", fatal=fatal, version=0, **more)


def shutdown() -> bytes:
    return line(kind="command", cmd="shutdown", reason="user_exit", grace_ms=0)


def version_of(item: Told) -> int:
    """The version of what an iterator gave, which must have one."""
    assert not isinstance(item, RunChanged)
    assert item.version is not None
    return item.version
