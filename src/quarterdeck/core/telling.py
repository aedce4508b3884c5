"""Telling: the events of one step put into the order that semantics.md gives ("Order within a step"), then numbered.

Own narration; `window_observed`; drift, each followed by its corrective move; closes; what the last close means.
Rules say what happened in whatever order they find it; the order is made here, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quarterdeck.core.state import State, Window
from quarterdeck.core.step import MoveWindow, Step
from quarterdeck.schema import events as e
from quarterdeck.schema.types import DriftKind, Rect, Severity

Unnumbered = Callable[[int], Any]
"""A stream event that still lacks its version."""


class Telling:
    """Collects what one step tells."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._own: list[Unnumbered] = []
        self._observed: dict[str, tuple[Window, object]] = {}  # what each window looked like before this step
        self._drift: list[Unnumbered] = []
        self._moves: list[MoveWindow] = []
        self._closes: list[Unnumbered] = []
        self._last: list[Unnumbered] = []

    def own(self, event: Unnumbered) -> None:
        """The input's own narration."""
        self._own.append(event)

    def watch(self, window: Window) -> None:
        """This window may be about to change: if it does, and is open at the end, `window_observed` is told."""
        self._observed.setdefault(window.label, (window, window.seen()))

    def drift(
        self,
        kind: DriftKind,
        severity: Severity,
        label: str | None,
        hwnd: int | None,
        detail: str,
        *,
        last: bool = False,
    ) -> None:
        """Reality is not what the application believes; `last` for what the last close means."""
        where = self._last if last else self._drift
        where.append(lambda version: e.HwndDriftDetected(version, kind, label, hwnd, detail, severity))

    def move(self, hwnd: int, target: Rect, reason: DriftKind) -> None:
        """The window should be moved; goes right behind its drift."""
        self._drift.append(lambda version: e.CorrectiveWindowMove(version, hwnd, target, reason))
        self._moves.append(MoveWindow(hwnd, target))

    def close(self, event: Unnumbered) -> None:
        """A part of a close."""
        self._closes.append(event)

    def last(self, event: Unnumbered) -> None:
        """What the last close means."""
        self._last.append(event)

    def into(self, step: Step) -> Step:
        """Number the events and put them into the step."""
        for event in (*self._own, *self._seen(), *self._drift, *self._closes, *self._last):
            step.events.append(event(self._state.next_version()))
        step.effects.extend(self._moves)
        return step

    def _seen(self) -> list[Unnumbered]:
        return [
            window.observed
            for label, (window, before) in self._observed.items()
            if self._state.windows.get(label) is window and window.seen() != before
        ]
