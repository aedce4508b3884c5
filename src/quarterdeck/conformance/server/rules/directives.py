"""Section 7: what a launcher asks of its clients, and how it ends."""

from __future__ import annotations

import signal
import sys
from typing import Final

from quarterdeck.conformance.rules import Breach, NotApplicable
from quarterdeck.conformance.server.book import CONSENT, FRESH, Book, Needs
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.stage import Stage, unix_only
from quarterdeck.conformance.server.talker import Talker, names, registering

RULES: Final = Book()

_STUBBORN: Final = (
    "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(1000)"
)
DECK: Final = f"""
[process.stubborn]
command = ["{sys.executable}", "-S", "-c", "{_STUBBORN}"]
ready = {{ log = "^here" }}
stop_grace_s = 60
"""
WITH_CHILD: Final = Needs(own=True, fresh=True, deck=DECK)


@RULES.check("7", Needs(consent=True, fresh=True, ends=True))
def quit_ends_it(stage: Stage) -> None:
    """`quit`: `quitting` is told, then the `ack`, then `shutdown` goes to every client with the `quit`'s reason, `dead`
    is told, and connections are closed; no `process_exited` is told for those that `dead` ends.
    """
    asker, follower, filtered, unknown = stage.join(), stage.join("srv"), stage.quiet("renderer"), stage.connect()
    asker.ping()
    follower.ping()
    asker.send({"cmd": "quit", "reason": "last_window_closed", "id": "q"})
    for talker in (asker, follower):
        talker.expect(event="lifecycle_phase_changed", to="quitting")
        if talker is asker:
            talker.expect(event="ack", id="q")
        _is_shutdown(talker.line("`shutdown`"), "last_window_closed")
        talker.expect(event="lifecycle_phase_changed", **{"from": "quitting"}, to="dead")
        talker.expect_end()
    _is_shutdown(filtered.line("`shutdown`"), "last_window_closed")
    filtered.expect_end()
    unknown.expect_end()
    if stage.launcher is not None and stage.launcher.wait() != 0:
        raise Breach("exit code 0", "another one")


@RULES.check("7", FRESH)
def signal_ends_it(stage: Stage) -> None:
    """SIGTERM ends it the same way, with reason `signal`."""
    if sys.platform == "win32":
        raise unix_only()
    follower = stage.join()
    follower.ping()
    stage.own.signal(signal.SIGTERM)
    follower.expect(event="lifecycle_phase_changed", to="quitting")
    _is_shutdown(follower.line("`shutdown`"), "signal")
    follower.expect(event="lifecycle_phase_changed", to="dead")
    follower.expect_end()
    if stage.own.wait() != 0:
        raise Breach("exit code 0", "another one")


@RULES.check("7", FRESH)
def slow_reader_at_the_end(stage: Stage) -> None:
    """At shutdown buffers are flushed for a bounded time: who does not read keeps nobody alive."""
    deaf = stage.join()
    busy = stage.quiet()
    for _ in range(20):
        busy.send(*({"cmd": "publish", "topic": "quarterdeck.conform", "payload": "x" * 60_000} for _ in range(5)))
        busy.ping()
    stage.own.signal(signal.SIGTERM)
    busy.rest()
    stage.own.wait()
    deaf.close()


@RULES.check("7", WITH_CHILD)
def grace(stage: Stage) -> None:
    """With children `shutdown` tells their grace, and `dead` comes when they are gone; `forced` ends every grace."""
    if sys.platform == "win32":
        raise unix_only()
    talker = _quitting(stage)
    if "dead" in [line.get("to") for line in talker.ping()]:
        raise Breach("no `dead` while a child has its grace", "`dead`")
    talker.send({"cmd": "quit", "reason": "forced"})
    talker.until(event="child_stopped", name="stubborn")
    talker.until(event="lifecycle_phase_changed", to="dead")
    talker.expect_end()


@RULES.check("4", WITH_CHILD)
def shutting_down(stage: Stage) -> None:
    """While the launcher is quitting only a tool may register; others are told `shutting_down`, fatal."""
    if sys.platform == "win32":
        raise unix_only()
    talker = _quitting(stage)
    stage.quiet("tool").ping()
    for kind in ("host", "renderer", "srv"):
        late = stage.connect()
        late.refused(registering(stage.pid(), kind), "shutting_down", fatal=True)
        late.expect_end()
    talker.send({"cmd": "quit", "reason": "forced"})


@RULES.check("4", CONSENT)
def second_host(stage: Stage) -> None:
    """A second live host is `conflict`, fatal; the first one stays."""
    host = stage.host()
    second = stage.connect()
    second.refused(registering(stage.pid(), "host"), "conflict", fatal=True)
    second.expect_end()
    host.ping()


@RULES.check("7", CONSENT)
def directive_to_host(stage: Stage) -> None:
    """A directive to the host follows the reply of the command that caused it, goes to the host alone, and has no
    version.
    """
    other, host = stage.join(), stage.host()
    host.send({"cmd": "report_pool_window_promoted", "label": "p", "id": "p"})
    before = host.until(event="ack", id="p")
    sagas = [line["saga_id"] for line in before if line.get("event") == "saga_started"]
    if not sagas:
        raise NotApplicable("this launcher began no saga when a pool window was promoted")
    if any(line.get("kind") == "command" for line in before):
        raise Breach("the directive after the `ack`", "before it")
    told = [line for line in host.ping() if line.get("kind") == "command"]
    if [(line["cmd"], line["saga_id"]) for line in told] != [("spawn_pool_window", sagas[0])]:
        raise Breach(f"`spawn_pool_window` for saga {sagas[0]}", str(told))
    if "spawn_pool_window" in names(other.ping()):
        raise Breach("no directive to others", "`spawn_pool_window`")
    host.done({"cmd": "report_pool_window_added", "label": "q", "saga_id": sagas[0]})
    host.ping()


@RULES.check("7", CONSENT)
def directives_in_turn(stage: Stage) -> None:
    """A closed window is cleaned up in turn: `reap_panes`, then, once that is answered, `drain_pool_if_last`."""
    host = stage.host()
    host.done({"cmd": "report_background_service_enabled", "enabled": True})
    host.done({"cmd": "report_window_opened", "label": "w", "kind": "subwindow", "parent_label": None})
    host.send({"cmd": "report_window_closed", "label": "w", "id": "w"})
    before = host.until(id="w")
    sagas = [line["saga_id"] for line in before if line.get("event") == "saga_started"]
    if not sagas:
        raise NotApplicable("this launcher began no saga when a window was closed")
    host.expect(kind="command", cmd="reap_panes", label="w", saga_id=sagas[0])
    host.send({"cmd": "report_panes_reaped", "label": "w", "saga_id": sagas[0], "id": "r"})
    host.until(id="r")
    host.expect(kind="command", cmd="drain_pool_if_last", label="w", saga_id=sagas[0])
    host.send({"cmd": "report_pool_drain_decision", "label": "w", "was_last": True, "saga_id": sagas[0], "id": "d"})
    if "saga_completed" not in names(host.until(id="d")):
        raise Breach("`saga_completed` when the last answer came", "none")


def _quitting(stage: Stage) -> Talker:
    """Somebody who follows a launcher that quits and waits for its child."""
    talker = stage.connect()
    talker.register(stage.pid(), "tool", subscribe={"since": 0})
    talker.until(event="child_ready", name="stubborn")
    talker.send({"cmd": "quit", "reason": "user_exit", "id": "q"})
    talker.until(event="ack", id="q")
    grace_ms = talker.until(cmd="shutdown")[-1]["grace_ms"]
    if grace_ms < 60_000:
        raise Breach("the child's grace of 60 s in `grace_ms`", str(grace_ms))
    return talker


def _is_shutdown(line: Line, reason: str) -> None:
    wanted = {"kind": "command", "cmd": "shutdown", "reason": reason}
    if {key: line.get(key) for key in wanted} != wanted or "event" in line or "version" in line:
        raise Breach(f"{wanted}, which is no event and has no version", str(line))
