"""Section 5: what makes a launcher tell its events, and what they say. That each has its members is looked at wherever
one is heard.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import CONSENT, FRESH, Book, Needs
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.stage import Stage, unix_only
from quarterdeck.conformance.server.talker import Talker, fresh_id, holds, is_stream, registering

RULES: Final = Book()

RECT: Final = {"left": 0, "top": 0, "right": 1000, "bottom": 1000}
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@RULES.check("5")
def spawned_at(stage: Stage) -> None:
    """`spawned_at` is an RFC 3339 time; `name` is null where there is none."""
    watcher, talker = stage.join(), stage.connect()
    pid = stage.pid()
    command = registering(pid)
    del command["name"]
    talker.send(command)
    told = watcher.until(event="process_spawned", pid=pid)[-1]
    if not _RFC_3339.fullmatch(str(told["spawned_at"])) or told["name"] is not None:
        raise Breach("an RFC 3339 time, and null", str(told))


@RULES.check("5", FRESH)
def lifecycle(stage: Stage) -> None:
    """The first host of a run moves `starting` to `running`, once; a later host moves nothing."""
    watcher = stage.join()
    if watcher.snapshot()["lifecycle"] != "starting":
        raise Breach("`starting` before the first host", str(watcher.snapshot()["lifecycle"]))
    host = stage.host()
    told = watcher.until(event="lifecycle_phase_changed")[-1]
    holds(told, {"from": "starting", "to": "running"})
    host.goodbye()
    stage.host()
    _none_of(watcher.ping(), "lifecycle_phase_changed")


@RULES.check("5")
def startup_stages(stage: Stage) -> None:
    """The stages of a start are told as they are reported, with their sender's pid."""
    talker = stage.join()
    asked: tuple[tuple[str, str, Line], ...] = (
        ("report_startup_stage_begin", "startup_stage_begun", {"stage": "s", "label": "Stage"}),
        (
            "report_startup_stage_end",
            "startup_stage_ended",
            {"stage": "s", "duration_ms": 5, "status": "warn", "detail": None},
        ),
    )
    for cmd, event, members in asked:
        _tells(talker, {"cmd": cmd, **members}, {"event": event, "pid": talker.pid, **members})


@RULES.check("5", CONSENT)
def window_opened_and_closed(stage: Stage) -> None:
    """A window is told with its number when it opens, and with the same number when it closes; unknown: no event."""
    host = stage.host()
    host.done({"cmd": "report_background_service_enabled", "enabled": True})
    numbers = []
    for label in ("one", "two", "one"):
        told = _events_of(host, _opened(label, kind="subwindow", parent_label="p"))
        holds(told[0], {"event": "window_opened", "label": label, "kind": "subwindow", "parent_label": "p"})
        holds(told[1], {"event": "window_instance_assigned", "label": label})
        numbers.append(told[1]["num"])
        told = _events_of(host, {"cmd": "report_window_closed", "label": label})
        holds(told[0], {"event": "window_closed", "label": label, "crash_detected": False})
        holds(told[1], {"event": "window_instance_released", "label": label, "num": numbers[-1]})
    if not 1 <= numbers[0] < numbers[1] < numbers[2]:
        raise Breach("numbers that go up and are never used again", str(numbers))
    told = _events_of(host, {"cmd": "report_window_closed", "label": "never was"})
    if told:
        raise Breach("no event", str(told))


@RULES.check("5", CONSENT)
def window_observed(stage: Stage) -> None:
    """`window_observed` tells what is seen of a window, on a real change of any, and only then."""
    host = stage.host()
    host.done(_opened("w"))
    changes: tuple[tuple[str, Line, Line], ...] = (
        ("opened", {"class_name": "c", "title": "", "label_hint": "w"}, {"hwnd": 9}),
        ("visibility_changed", {"visible": True}, {"visible": True}),
        ("foreground_changed", {}, {"foregrounded_since_open": True}),
        ("iconic_changed", {"iconic": True}, {"iconic": True}),
        ("position_changed", {"rect": RECT}, {"last_rect": RECT}),
    )
    seen: Line = {"hwnd": None, "visible": False, "iconic": False, "last_rect": None, "foregrounded_since_open": False}
    for report, members, change in changes:
        command = {"cmd": f"report_hwnd_{report}", "hwnd": 9, **members}
        seen |= change
        _tells(host, command, {"event": "window_observed", "label": "w", **seen})
        _none_of(_events_of(host, command), "window_observed")
    rows = [row for row in host.snapshot()["windows"] if row["label"] == "w"]
    if not rows or {key: rows[0][key] for key in seen} != seen:
        raise Breach(f"a window with {seen} in the snapshot", str(rows))


@RULES.check("5", CONSENT)
def windows_orphaned(stage: Stage) -> None:
    """A host that vanishes leaves its windows: told once, labels sorted; the next host may re-open them as its own."""
    watcher = stage.join()
    host = stage.host()
    for label in ("b", "a"):
        host.done(_opened(label))
    host.close()
    told = watcher.until(event="windows_orphaned")[-1]
    holds(told, {"labels": ["a", "b"], "host_pid": host.pid})
    heir = stage.host()
    for label in ("a", "b"):
        heir.done(_opened(label))
    rows = {row["label"]: row["orphaned"] for row in heir.snapshot()["windows"]}
    if rows != {"a": False, "b": False}:
        raise Breach("two windows that are orphaned no more", str(rows))


@RULES.check("5", CONSENT)
def real_changes(stage: Stage) -> None:
    """`monitors_changed` and `background_service_changed` are told on a real change, and only then."""
    host = stage.host()
    host.done({"cmd": "report_monitor_topology_changed", "rects": []})
    host.done({"cmd": "report_background_service_enabled", "enabled": False})
    asked: tuple[tuple[Line, Line], ...] = (
        (
            {"cmd": "report_monitor_topology_changed", "rects": [RECT]},
            {"event": "monitors_changed", "rects": [RECT]},
        ),
        (
            {"cmd": "report_background_service_enabled", "enabled": True},
            {"event": "background_service_changed", "enabled": True},
        ),
    )
    for command, event in asked:
        _tells(host, command, event)
        _none_of(_events_of(host, command), str(event["event"]))


@RULES.check("5", CONSENT)
def backend_window_ids(stage: Stage) -> None:
    """A backend's id of a label is told with the label when it is known, and when it is not any more."""
    host = stage.host()
    members = {"label": "w", "window_id": "id-1"}
    _tells(
        host,
        {"cmd": "report_backend_window_id_registered", **members},
        {"event": "backend_window_id_registered", **members},
    )
    _tells(
        host,
        {"cmd": "report_backend_window_id_unregistered", "label": "w"},
        {"event": "backend_window_id_unregistered", **members},
    )


@RULES.check("5", CONSENT)
def pool(stage: Stage) -> None:
    """The pool is told as it is reported: added (with its saga, or null), removed, promoted."""
    host = stage.host()
    for cmd, members, wanted in (
        ("added", {"label": "p"}, {"label": "p", "saga_id": None}),
        ("added", {"label": "q", "saga_id": 77}, {"label": "q", "saga_id": 77}),
        ("removed", {"label": "p"}, {"label": "p"}),
        ("promoted", {"label": "q"}, {"label": "q"}),
    ):
        _tells(host, {"cmd": f"report_pool_window_{cmd}", **members}, {"event": f"pool_window_{cmd}", **wanted})
    if host.snapshot()["pool"]:
        raise Breach("an empty pool in the snapshot", str(host.snapshot()["pool"]))


@RULES.check("5", CONSENT)
def panes_and_drains(stage: Stage) -> None:
    """What the host says of panes, drains and failed actions is told as it is."""
    host = stage.host()
    asked: tuple[tuple[str, Line, str, Line], ...] = (
        ("panes_reaped", {"label": "w", "saga_id": 1}, "panes_reaped", {"label": "w", "saga_id": 1}),
        ("panes_reaped", {"label": "w"}, "panes_reaped", {"label": "w", "saga_id": None}),
        ("pool_drain_decision", {"label": "w", "was_last": True}, "pool_drained", {"label": "w", "saga_id": None}),
        (
            "pool_drain_decision",
            {"label": "w", "was_last": False, "saga_id": 2},
            "pool_not_last",
            {"label": "w", "saga_id": 2},
        ),
        ("saga_action_failed", {"saga_id": 3, "reason": "r"}, "saga_action_failed", {"saga_id": 3, "reason": "r"}),
        (
            "saga_action_failed",
            {"saga_id": 3, "reason": "r", "action": "a"},
            "saga_action_failed",
            {"saga_id": 3, "reason": "r", "action": "a"},
        ),
    )
    for cmd, members, event, wanted in asked:
        _tells(host, {"cmd": f"report_{cmd}", **members}, {"event": event, **wanted})


@RULES.check("5", CONSENT)
def drift_of_counts(stage: Stage) -> None:
    """`drift_detected` is told where the host counts otherwise, windows before pool; equal counts are silent."""
    host = stage.host()
    host.done(_opened("w"))
    _none_of(_events_of(host, {"cmd": "report_host_counts", "windows": 1, "pool": 0}), "drift_detected")
    told = [
        line
        for line in _events_of(host, {"cmd": "report_host_counts", "windows": 5, "pool": 6})
        if line["event"] == "drift_detected"
    ]
    wanted = [("windows", 5, 1), ("pool", 6, 0)]
    if [(line["kind"], line["host_count"], line["mirror_count"]) for line in told] != wanted:
        raise Breach(str(wanted), str(told))


@RULES.check("5", CONSENT)
def drift_of_handles(stage: Stage) -> None:
    """A handle that dies while its window is open is `hwnd_drift_detected`, and the window's end; the last one asks the
    host to quit.
    """
    host = stage.host()
    host.done({"cmd": "report_background_service_enabled", "enabled": False})
    host.done(_opened("w"))
    host.done({"cmd": "report_hwnd_opened", "hwnd": 5, "class_name": "", "title": "", "label_hint": "w"})
    told = _events_of(host, {"cmd": "report_hwnd_destroyed", "hwnd": 5})
    _find(told, event="hwnd_drift_detected", kind="orphan_destroy", label="w", hwnd=5, severity="error")
    _find(told, event="window_closed", label="w", crash_detected=True)
    _find(told, event="hwnd_drift_detected", kind="orphan_instance", severity="warn")
    _find(told, event="host_should_quit")


@RULES.check("5", CONSENT)
def corrective_move(stage: Stage) -> None:
    """A window off every monitor that was never in the foreground is told where it should go, once."""
    host = stage.host()
    host.done({"cmd": "report_monitor_topology_changed", "rects": [RECT]})
    host.done(_opened("w"))
    host.done({"cmd": "report_hwnd_opened", "hwnd": 5, "class_name": "", "title": "", "label_hint": "w"})
    away = {"left": 5000, "top": 5000, "right": 5100, "bottom": 5100}
    told = _events_of(host, {"cmd": "report_hwnd_position_changed", "hwnd": 5, "rect": away})
    _find(told, event="hwnd_drift_detected", kind="off_monitor", label="w", hwnd=5, severity="warn")
    target = {"left": 150, "top": 150, "right": 850, "bottom": 850}
    _find(told, event="corrective_window_move", hwnd=5, target_rect=target, reason="off_monitor")


@RULES.check("5", CONSENT)
def host_leaves(stage: Stage) -> None:
    """A host that says goodbye closes every window, in label order, after its exit, and takes its pool along."""
    watcher = stage.join()
    host = stage.host()
    for label in ("b", "a"):
        host.done(_opened(label))
    host.done({"cmd": "report_pool_window_added", "label": "p"})
    host.goodbye()
    told = [line for line in watcher.until(event="pool_window_removed", label="p") if is_stream(line)]
    after = told[[line["event"] for line in told].index("process_exited") + 1 :]
    closed = [
        (line["event"], line["label"]) for line in after if line["event"] in {"window_closed", "pool_window_removed"}
    ]
    if closed != [("window_closed", "a"), ("window_closed", "b"), ("pool_window_removed", "p")]:
        raise Breach("after the exit `a`, then `b` closed, then `p` removed", str(closed))


_CLIENT: Final = """
import json, os, socket, sys
launcher = socket.socket(socket.AF_UNIX)
launcher.connect(os.environ["QUARTERDECK_ENDPOINT"])
register = {"cmd": "register", "kind": "srv", "pid": os.getpid(), "version": "1", "subscribe": {"events": ["publ*"]}}
launcher.sendall(json.dumps(register).encode() + b"\\n")
for line in launcher.makefile():
    if json.loads(line)["event"] == "published":
        break
"""
_ENDS: Final = "os._exit(3)"
_KILLED: Final = "os.kill(os.getpid(), 9)"


def _process(name: str, program: str, **keys: str) -> str:
    command = [sys.executable, "-S", "-c", program]
    lines = [f"[process.{name}]", f"command = {_toml(command)}", "autostart = false", 'restart = "never"']
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items()), ""])


def _toml(words: list[str]) -> str:
    import json

    return json.dumps(words)  # a JSON list of texts is a TOML one


DECK: Final = "\n".join(
    (
        _process("ends", _CLIENT + _ENDS),
        _process("killed", _CLIENT + _KILLED),
        _process("crashes", "raise SystemExit(1)", ready='"running"', restarts_max="1", backoff_s="0.01").replace(
            '"never"', '"on-failure"'
        ),
        _process("done", "pass", ready='"running"'),
        _process("stays", "import time; time.sleep(1000)", ready='"running"'),
    )
)
CHILDREN: Final = Needs(own=True, deck=DECK)


@RULES.check("3.5", CHILDREN)
def exit_status_of_a_child(stage: Stage) -> None:
    """Where the launcher is the process's parent, the exit says `exited` with its code, or `signaled` with minus the
    signal's number.
    """
    if sys.platform == "win32":
        raise unix_only()
    watcher, talker = stage.join(), stage.quiet()
    for name, code, reason in (("ends", 3, "exited"), ("killed", -9, "signaled")):
        talker.done({"cmd": "start_process", "name": name})
        pid = watcher.until(event="child_ready", name=name)[-1]["pid"]
        talker.done({"cmd": "publish", "topic": "quarterdeck.conform", "payload": "go"})
        told = watcher.until(event="process_exited", pid=pid)[-1]
        holds(told, {"code": code, "reason": reason, "synthetic": True})


@RULES.check("5", CHILDREN)
def children(stage: Stage) -> None:
    """A child's events tell the state that it entered: running, ready, stopping, stopped, exited, backoff, failed."""
    watcher, talker = stage.join(), stage.quiet()
    talker.done({"cmd": "start_process", "name": "stays"})
    _goes_through(watcher, "stays", "started", "ready")
    if not any(row["name"] == "stays" and row["state"] == "ready" for row in talker.snapshot()["children"]):
        raise Breach("a child that is ready in the snapshot", str(talker.snapshot()["children"]))
    talker.done({"cmd": "stop_process", "name": "stays"})
    _goes_through(watcher, "stays", "stopping", "stopped")
    talker.done({"cmd": "start_process", "name": "crashes"})
    _goes_through(watcher, "crashes", "started", "backoff", "started", "failed")
    talker.done({"cmd": "start_process", "name": "done"})
    _goes_through(watcher, "done", "started", "exited")


STATES: Final = {"started": "running"}


def _goes_through(watcher: Talker, name: str, *steps: str) -> None:
    for step in steps:
        told = watcher.until(event=f"child_{step}", name=name)[-1]
        holds(told, {"state": STATES.get(step, step)})


def _opened(label: str, kind: str = "full_instance", parent_label: str | None = None) -> Line:
    return {"cmd": "report_window_opened", "label": label, "kind": kind, "parent_label": parent_label}


def _events_of(talker: Talker, command: Line) -> list[Line]:
    """The events that came between a command of one who follows everything and its answer."""
    talker.ping()
    id = fresh_id()
    talker.send({**command, "id": id})
    *before, answer = talker.until(id=id)
    if answer.get("event") == "error":
        raise Breach(f"`{command['cmd']}` carried out", str(answer))
    return [line for line in before if is_stream(line)]


def _tells(talker: Talker, command: Line, event: Line) -> None:
    _find(_events_of(talker, command), **event)


def _find(lines: list[Line], **members: Any) -> None:
    if not any(all(line.get(name, "missing") == value for name, value in members.items()) for line in lines):
        raise Breach(f"an event with {members}", str(lines)[:600] if lines else "no event")


def _none_of(lines: list[Line], event: str) -> None:
    if any(line.get("event") == event for line in lines):
        raise Breach(f"no `{event}`", str([line for line in lines if line.get("event") == event])[:300])
