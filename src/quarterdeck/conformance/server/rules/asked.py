"""The table of section 4 once more, written down from the protocol and not taken from `schema`: who may send a command,
and for each member values that are right, the extremes among them, and values that are wrong.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

INTEGER_MAX: Final = 2**53 - 1
U64_MAX: Final = 2**64 - 1
I32_MIN, I32_MAX = -(2**31), 2**31 - 1


class Member(Struct, frozen=True):
    """One member: the first of `good` is the one that an example has."""

    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    is_required: bool = True


class Asked(Struct, frozen=True):
    """One command: the kinds of client that may send it, and its members."""

    kinds: tuple[str, ...]
    members: dict[str, Member] = {}

    def example(self) -> dict[str, Any]:
        """Its members with values that are right."""
        return {name: member.good[0] for name, member in self.members.items() if member.is_required}


def integer(least: int, most: int) -> Member:
    """An integer, both ends included."""
    return Member((most, least), (least - 1, most + 1, 1.5, 1.0, "1", True, [], {}, None))


def text(least: int = 1, most: int = 512, example: str = "x") -> Member:
    """A text of so many characters."""
    wide = "\U0001f600"  # one character, four bytes, two code units
    too_short = ("",) if least else ()
    good = (example, "x" * most, wide * most, "x" * least)
    return Member(good, (*too_short, "x" * (most + 1), wide * (most + 1), 1, True, [], {}, None))


def one_of(*words: str) -> Member:
    """One of these words."""
    return Member(words, ("", words[0].upper(), "another", 1, [], None))


def optional(member: Member) -> Member:
    """It may be left out, or be null."""
    return Member((*member.good, None), tuple(bad for bad in member.bad if bad is not None), is_required=False)


def or_null(member: Member) -> Member:
    """It must be there, and may be null."""
    return Member((None, *member.good), tuple(bad for bad in member.bad if bad is not None))


def list_of(member: Member, least: int, most: int) -> Member:
    """A list of so many."""
    one = member.good[0]
    too_few: tuple[Any, ...] = ([],) if least else ()
    bad = (*too_few, [one] * (most + 1), [member.bad[0]], [one, member.bad[-1]], one, "x", {}, 1, None)
    return Member(([one], [one] * least, [one] * most), bad)


BOOL: Final = Member((True, False), (0, 1, "true", "", [], None))
INTEGER: Final = integer(0, INTEGER_MAX)
U64: Final = integer(0, U64_MAX)
TEXT: Final = text()
_RECT: Final = {"left": 0, "top": 0, "right": 10, "bottom": 10}
RECT: Final = Member(
    (_RECT, dict.fromkeys(_RECT, I32_MIN), dict.fromkeys(_RECT, I32_MAX)),
    (
        {**_RECT, "left": I32_MIN - 1},
        {**_RECT, "bottom": I32_MAX + 1},
        {**_RECT, "top": 0.5},
        {"left": 0, "top": 0, "right": 1},
        [0, 0, 1, 1],
        "x",
        1,
        None,
    ),
)

ANY: Final = ("host", "renderer", "srv", "tool")
HOST: Final = ("host",)
HOST_OR_TOOL: Final = ("host", "tool")
QUERIES: Final = ("ping", "get_snapshot", "get_metrics", "get_events", "subscribe")

_RUN_ID: Final = Member((), ("", "x" * 513, 1, []))  # any other text is of another run
_SUBSCRIBE: Final = {
    "events": optional(list_of(Member(("window_opened", "*"), ("", "x" * 129, "no_such_event", 1)), 1, 64)),
    "since": optional(Member((0,), integer(0, INTEGER_MAX).bad)),
    "run_id": optional(_RUN_ID),
    "slow": optional(one_of("gap", "disconnect", "snapshot")),
    "snapshot": optional(BOOL),
}

ASKED: Final[dict[str, Asked]] = {
    "register": Asked(
        ANY,
        {
            "kind": one_of("tool", "srv", "renderer", "host"),
            "pid": integer(1, 2**32 - 1),
            "version": TEXT,
            "name": optional(TEXT),
            "subscribe": optional(Member(({},), (1, "x", [], {"since": 1}, {"events": []}, {"slow": "x"}))),
        },
    ),
    "ping": Asked(ANY, {"nonce": U64}),
    "goodbye": Asked(ANY),
    "get_snapshot": Asked(ANY),
    "get_metrics": Asked(ANY),
    "get_events": Asked(
        ANY,
        {
            "since": Member((0,), integer(0, INTEGER_MAX).bad),
            "run_id": optional(_RUN_ID),
            "limit": optional(integer(1, 10_000)),
        },
    ),
    "subscribe": Asked(ANY, _SUBSCRIBE),
    "publish": Asked(
        ANY,
        {"topic": text(most=200, example="quarterdeck.conform"), "payload": Member((1, None, {}, [], "x", 0.5), ())},
    ),
    "report_status": Asked(ANY, {"status": Member(({"a": 1}, {}), (1, "x", [], None, True))}),
    "activate": Asked(("tool",), {"argv": list_of(text(0, 4096), 0, 256), "cwd": text(1, 4096, "/")}),
    "quit": Asked(HOST_OR_TOOL, {"reason": one_of("user_exit", "last_window_closed", "forced")}),
    "start_process": Asked(HOST_OR_TOOL, {"name": TEXT}),
    "stop_process": Asked(HOST_OR_TOOL, {"name": TEXT}),
    "restart_process": Asked(HOST_OR_TOOL, {"name": TEXT}),
    "report_window_opened": Asked(
        HOST, {"label": TEXT, "kind": one_of("full_instance", "subwindow"), "parent_label": or_null(TEXT)}
    ),
    "report_window_closed": Asked(HOST, {"label": TEXT}),
    "report_backend_window_id_registered": Asked(HOST, {"label": TEXT, "window_id": TEXT}),
    "report_backend_window_id_unregistered": Asked(HOST, {"label": TEXT}),
    "report_pool_window_added": Asked(HOST, {"label": text(example="pool"), "saga_id": optional(INTEGER)}),
    "report_pool_window_removed": Asked(HOST, {"label": TEXT}),
    "report_pool_window_promoted": Asked(HOST, {"label": TEXT}),
    "report_host_counts": Asked(HOST, {"windows": INTEGER, "pool": INTEGER}),
    "report_host_pool_count": Asked(HOST, {"count": INTEGER}),
    "report_background_service_enabled": Asked(HOST, {"enabled": BOOL}),
    "report_hwnd_opened": Asked(
        HOST, {"hwnd": U64, "class_name": text(0), "title": text(0), "label_hint": or_null(TEXT)}
    ),
    "report_hwnd_destroyed": Asked(HOST, {"hwnd": U64}),
    "report_hwnd_foreground_changed": Asked(HOST, {"hwnd": U64}),
    "report_hwnd_visibility_changed": Asked(HOST, {"hwnd": U64, "visible": BOOL}),
    "report_hwnd_iconic_changed": Asked(HOST, {"hwnd": U64, "iconic": BOOL}),
    "report_hwnd_position_changed": Asked(HOST, {"hwnd": U64, "rect": RECT}),
    "report_monitor_topology_changed": Asked(HOST, {"rects": list_of(RECT, 0, 64)}),
    "report_panes_reaped": Asked(HOST, {"label": TEXT, "saga_id": optional(INTEGER)}),
    "report_pool_drain_decision": Asked(HOST, {"label": TEXT, "was_last": BOOL, "saga_id": optional(INTEGER)}),
    "report_saga_action_failed": Asked(HOST, {"saga_id": INTEGER, "reason": TEXT, "action": optional(TEXT)}),
    "report_ui_thread_alive": Asked(HOST, {"nonce": U64}),
    "report_startup_stage_begin": Asked(ANY, {"stage": TEXT, "label": TEXT}),
    "report_startup_stage_end": Asked(
        ANY,
        {
            "stage": TEXT,
            "duration_ms": INTEGER,
            "status": one_of("ok", "warn", "error"),
            "detail": or_null(TEXT),
        },
    ),
}
