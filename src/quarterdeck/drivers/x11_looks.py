"""What one look at the X server shows, as values, and what a later look shows changed, as reports.

Rules:
- Pure: an answer in, a value out; two looks in, reports out. Texts of others are decoded without ever failing.
- A window counts once a window manager has it (WM_STATE, or the list of clients) and it is not override-redirect;
  menus, tooltips and toolkits' own windows never do. Without a window manager, mapped children of the root count.
- Iconified is told before hidden, and shown before restored: nobody ever reads "hidden" out of a minimised window.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quarterdeck.drivers.witness import Report
from quarterdeck.drivers.x11_display import PREDEFINED, Answers
from quarterdeck.schema.commands import (
    ReportHwndIconicChanged,
    ReportHwndOpened,
    ReportHwndPositionChanged,
    ReportHwndVisibilityChanged,
)
from quarterdeck.schema.types import Rect

TEXT_MAX: Final = 512
MONITORS_MAX: Final = 64
_VIEWABLE: Final = 2
_ICONIC_STATE: Final = 3
_POINTER_ROOT: Final = 1


@dataclass(frozen=True, slots=True)
class Screen:
    """What the screen as a whole is like. Windows are ids, 0 for none."""

    active: int = 0
    focus: int = 0
    clients: frozenset[int] = frozenset()
    top: frozenset[int] = frozenset()
    """The children of the root: frames, or where nobody frames them the windows themselves."""
    wm_check: int = 0
    """What the root calls the window manager's window; it may be a dead one's."""
    managed: bool = False
    """Whether that window is there and says the same: a window manager runs (EWMH, _NET_SUPPORTING_WM_CHECK)."""
    listed: bool = False
    """Whether it also lists the windows that it has (_NET_CLIENT_LIST)."""
    moves: bool = False
    """Whether the window manager takes _NET_MOVERESIZE_WINDOW."""
    monitors: tuple[Rect, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a window is and what it is called."""

    client: int | None
    """The pid at the other end of its connection, as the server knows it."""
    claimed: int | None
    """The pid in its _NET_WM_PID, if it says that it comes from this machine."""
    class_name: str
    title: str

    @property
    def pids(self) -> tuple[int, ...]:
        """Both: a proxy or a container may stand between the process and the server."""
        return tuple(pid for pid in (self.claimed, self.client) if pid)


@dataclass(frozen=True, slots=True)
class Look:
    """What a window was like at one moment."""

    parent: int
    override_redirect: bool
    mapped: bool
    kept: bool
    """Whether its WM_STATE says that a window manager has it."""
    visible: bool
    iconic: bool
    rect: Rect
    label: str | None
    children: tuple[int, ...] = field(default=(), compare=False)
    """The windows in it: of a window manager's frame, perhaps one of the host's."""


def read_screen(answers: Answers, atoms: Mapping[str, int], whole: Rect) -> Screen:
    """Read what `Display.ask_screen` asked; `whole` is the only monitor where the server cannot name them."""
    wm_check = _first(answers["wm_check"])
    wm = answers.get("wm")
    managed = wm_check != 0 and wm is not None and _first(wm) == wm_check
    focus = answers["focus"].focus if answers["focus"] is not None else 0
    return Screen(
        active=_first(answers["active"]),
        focus=focus if focus > _POINTER_ROOT else 0,
        clients=frozenset(_words(answers["clients"])),
        top=frozenset(answers["tree"].children if answers["tree"] is not None else ()),
        wm_check=wm_check,
        managed=managed,
        listed=managed and answers["clients"] is not None and answers["clients"].format == 32,
        moves=managed and atoms["_NET_MOVERESIZE_WINDOW"] in _words(answers["supported"]),
        monitors=_monitors(answers, whole),
    )


def read_identity(answers: Answers, host_name: str) -> Identity:
    """Read what `Display.ask_identity` asked; `host_name` is this machine's."""
    machine = _text(answers["machine"])
    here = not machine or _short(machine) == _short(host_name)
    return Identity(
        client=_client_pid(answers.get("client")),
        claimed=_first(answers["pid"]) or None if here else None,
        class_name=_class_name(answers["class"]),
        title=_text(answers["net_name"]) or _text(answers["name"]),
    )


def read_window(answers: Answers, atoms: Mapping[str, int]) -> Look | None:
    """Read what `Display.ask_window` asked; None: the window is gone."""
    attributes, geometry, origin, tree = (answers[name] for name in ("attributes", "geometry", "origin", "tree"))
    if attributes is None or geometry is None or origin is None or tree is None:
        return None
    state = _first(answers["wm_state"])
    iconic = state == _ICONIC_STATE or (state != 0 and atoms["_NET_WM_STATE_HIDDEN"] in _words(answers["net_state"]))
    left, top = origin.dst_x, origin.dst_y
    return Look(
        parent=tree.parent,
        override_redirect=bool(attributes.override_redirect),
        mapped=attributes.map_state != 0,
        kept=state != 0,
        visible=attributes.map_state == _VIEWABLE and not iconic,
        iconic=iconic,
        rect=Rect(left, top, left + geometry.width, top + geometry.height),
        label=_text(answers["label"]) or _text(answers["role"]) or None,
        children=tuple(tree.children),
    )


def answers_pings(answers: Answers, atoms: Mapping[str, int]) -> bool:
    """Whether a window says that it answers pings, as `Display.ask_protocols` asked."""
    return atoms["_NET_WM_PING"] in _words(answers["protocols"])


def counts(window: int, look: Look, screen: Screen, root: int) -> bool:
    """Whether it is a top-level window, not a menu or one that its toolkit only works with."""
    if look.override_redirect:
        return False
    if look.kept or window in screen.clients:
        return True
    return not screen.managed and look.mapped and look.parent == root


def opened(hwnd: int, identity: Identity, look: Look) -> Iterator[Report]:
    """Tell of a new window: that it is there, then all of its state."""
    yield named(hwnd, identity, look)
    yield from _condition(hwnd, look)
    yield ReportHwndPositionChanged(hwnd=hwnd, rect=look.rect)


def named(hwnd: int, identity: Identity, look: Look) -> Report:
    """Tell what a window is called."""
    return ReportHwndOpened(hwnd=hwnd, class_name=identity.class_name, title=identity.title, label_hint=look.label)


def changed(hwnd: int, was: Look, now: Look) -> Iterator[Report]:
    """Tell of a known window what is not as it was; its label is `named`'s."""
    for report in _condition(hwnd, now):
        if isinstance(report, ReportHwndIconicChanged):
            if was.iconic != now.iconic:
                yield report
        elif was.visible != now.visible:
            yield report
    if was.rect != now.rect:
        yield ReportHwndPositionChanged(hwnd=hwnd, rect=now.rect)


def _condition(hwnd: int, look: Look) -> tuple[Report, Report]:
    iconic = ReportHwndIconicChanged(hwnd=hwnd, iconic=look.iconic)
    visible = ReportHwndVisibilityChanged(hwnd=hwnd, visible=look.visible)
    return (iconic, visible) if look.iconic else (visible, iconic)


def _monitors(answers: Answers, whole: Rect) -> tuple[Rect, ...]:
    """The primary one first, the others as the server has them; what has no pixels is none."""
    reply = answers.get("monitors")
    if reply is None:
        size = answers["geometry"]
        return (Rect(0, 0, size.width, size.height) if size is not None else whole,)
    listed = sorted(reply.monitors, key=lambda monitor: not monitor.primary)
    return tuple(Rect(m.x, m.y, m.x + m.width, m.y + m.height) for m in listed if m.width and m.height)[:MONITORS_MAX]


def _short(host_name: str) -> str:
    """One program says the full name, another the short one."""
    return host_name.partition(".")[0].lower()


def _client_pid(reply: Any) -> int | None:
    pids = [value.value[0] for value in reply.ids if len(value.value)] if reply is not None else []
    return pids[0] if pids else None


def _class_name(reply: Any) -> str:
    """WM_CLASS is two texts, each ended by a NUL: the instance's name and the class's."""
    parts = _decoded(reply).split("\0")
    return (parts[1] if len(parts) > 1 and parts[1] else parts[0])[:TEXT_MAX]


def _text(reply: Any) -> str:
    return _decoded(reply).split("\0")[0][:TEXT_MAX]


def _decoded(reply: Any) -> str:
    if reply is None or reply.format != 8:
        return ""
    text: bytes = reply.value.buf()
    if reply.type == PREDEFINED["STRING"]:
        return text.decode("latin-1")
    return text.decode("utf-8", "replace")


def _words(reply: Any) -> tuple[int, ...]:
    """Read a property of 32-bit items; another kind, or none at all, holds none."""
    if reply is None or reply.format != 32:
        return ()
    return struct.unpack(f"={reply.value_len}I", reply.value.buf())


def _first(reply: Any) -> int:
    words = _words(reply)
    return words[0] if words else 0
