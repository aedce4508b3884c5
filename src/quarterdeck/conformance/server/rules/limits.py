"""Section 10: what is refused before it is stored, and what is forgotten."""

from __future__ import annotations

from typing import Final

from quarterdeck.conformance.rules import Breach
from quarterdeck.conformance.server.book import Book, Needs, with_settings
from quarterdeck.conformance.server.hearing import Line
from quarterdeck.conformance.server.stage import Stage
from quarterdeck.conformance.server.talker import Talker

RULES: Final = Book()

CONNECTIONS: Final = 1_024
"""The default of `limits.connections`; a launcher of ours is started with fewer."""
SMALL: Final = with_settings("limits.windows=2", "limits.pool=2", "limits.backend_ids=2", "limits.exited_processes=2")


@RULES.check("10", Needs(settings=("limits.connections=6",), consent=True))
def connections(stage: Stage) -> None:
    """One connection too many is told `too_many_connections`, fatal, at once; those inside stay, and a place that comes
    free is given again.
    """
    inside = stage.quiet()
    others: list[Talker] = []
    while (refused := _refused(others, inside)) is None:
        if len(others) > CONNECTIONS:
            raise Breach(f"an end at {CONNECTIONS} connections", f"{len(others)} that were let in")
        others += [stage.connect() for _ in range(1 if stage.is_alone else 64)]
    _is_turned_away(refused)
    inside.ping()
    others[0].close()
    inside.eventually(lambda: _is_let_in(stage), "a place that came free given again")


def _refused(others: list[Talker], inside: Talker) -> Talker | None:
    """Who was told something before it said a word."""
    inside.ping()
    return next((talker for talker in others if talker.is_told_something()), None)


def _is_turned_away(talker: Talker) -> None:
    talker.expect(event="error", code="too_many_connections", fatal=True)
    talker.expect_end()


def _is_let_in(stage: Stage) -> bool:
    talker = stage.connect()
    talker.send({"cmd": "ping", "nonce": 1})
    answer = talker.line("an answer")
    talker.close()
    return bool(answer.get("code") == "not_registered")


@RULES.check("10", SMALL)
def windows(stage: Stage) -> None:
    """Beyond the limit of windows: `limit_reached`, which names the limit, and nothing has changed."""
    host = stage.host()
    for label in ("a", "b"):
        host.done(_window(label))
    _is_refused(host, _window("c"), "limits.windows")
    host.done(_window("b"))


@RULES.check("10", SMALL)
def pool(stage: Stage) -> None:
    """Beyond the limit of the pool: `limit_reached`, which names the limit, and nothing has changed."""
    host = stage.host()
    for label in ("p", "q"):
        host.done({"cmd": "report_pool_window_added", "label": label})
    _is_refused(host, {"cmd": "report_pool_window_added", "label": "r"}, "limits.pool")


@RULES.check("10", SMALL)
def backend_ids(stage: Stage) -> None:
    """Beyond the limit of backend ids: `limit_reached`, which names the limit, and nothing has changed."""
    host = stage.host()
    for label in ("a", "b"):
        host.done({"cmd": "report_backend_window_id_registered", "label": label, "window_id": "w"})
    beyond = {"cmd": "report_backend_window_id_registered", "label": "c", "window_id": "w"}
    _is_refused(host, beyond, "limits.backend_ids")
    for label in ("a", "b"):
        host.done({"cmd": "report_backend_window_id_unregistered", "label": label})


@RULES.check("10", SMALL)
def exited_processes(stage: Stage) -> None:
    """Of the exited records those with the greatest `exited_version`s are kept; the snapshot says how many."""
    talker = stage.quiet()
    left = []
    for _ in range(4):
        leaver = stage.quiet()
        leaver.goodbye()
        left.append(leaver.pid)
    snapshot = talker.snapshot()
    kept = sorted(row["pid"] for row in snapshot["processes"] if row["state"] == "exited")
    if kept != sorted(left[-2:]) or snapshot.get("exited_processes_max") != 2:
        raise Breach(f"{sorted(left[-2:])}, and 2 of them", f"{kept}, {snapshot.get('exited_processes_max')}")


def _window(label: str) -> Line:
    return {"cmd": "report_window_opened", "label": label, "kind": "subwindow", "parent_label": None}


def _is_refused(host: Talker, command: Line, limit: str) -> None:
    before = {**host.snapshot(), "id": None}
    error = host.refused(command, "limit_reached")
    if limit not in error["message"]:
        raise Breach(f"a message that names `{limit}`", error["message"])
    after = {**host.snapshot(), "id": None}
    if after != before:
        raise Breach("the state as it was", str({key: after[key] for key in after if after[key] != before[key]}))
