"""Survivors: what a user is told where the launcher was killed and its children live on, and how they are ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from quarterdeck.errors import ConfigError, NoLauncher, Timeout
from quarterdeck.ui.exits import Exit, Failure

if TYPE_CHECKING:
    from quarterdeck.deckfile import ProcessSpec
    from quarterdeck.server.survivors import Survivor
    from quarterdeck.ui.command import Address

NAMED_MAX: Final = 10
"""Children that an error names."""


def with_survivors(error: NoLauncher, address: Address) -> NoLauncher | Failure:
    """The same error; where children of the launcher that was meant live on, with who they are and what can be done."""
    found = _survivors(address)
    if not found:
        return error
    remedy = "take over what lives (quarterdeck up), or end it (quarterdeck down)"
    said = NoLauncher(error.address)
    return Failure(f"{said}; it was killed, and its children live on: {listed(found)}; {remedy}", Exit.NO_LAUNCHER)


def end_survivors(
    address: Address,
    place: str,
    tell: Callable[[str], None],
    *,
    now: bool,
    wait_s: float | None,
    deadline: float | None,
) -> list[str]:
    """End them as their launcher would have, and return who they were. Raises: Failure where some are left."""
    from quarterdeck.server import survivors

    folder = address.launcher_folder()
    if folder is None:
        return []
    found = _survivors(address)
    if found and wait_s == 0 and not now:
        raise Failure(f"no launcher is there to end {listed(found)}: wait for it, or kill them (--now)")
    specs, checks = _configured(address)
    try:
        return survivors.end_survivors(
            Path(folder), place, specs, tell, now=now, deadline_s=None if now else deadline, checks_folders=checks
        )
    except Timeout as error:
        raise Failure(f"{error}: waited {wait_s:g} s; to wait no more: --now") from error


def listed(found: Sequence[object]) -> str:
    """Who they are; of many only the first."""
    more = len(found) - NAMED_MAX
    return ", ".join([*map(str, found[:NAMED_MAX]), *([f"and {more} more"] if more > 0 else [])])


def _survivors(address: Address) -> list[Survivor]:
    try:
        folder = address.launcher_folder()
    except ConfigError:
        return []
    if folder is None or not Path(folder, "guard.json").exists():  # the common case, and quick
        return []
    from quarterdeck.server.survivors import survivors

    return survivors(Path(folder))


def _configured(address: Address) -> tuple[dict[str, ProcessSpec], bool]:
    """How each process is to end, by its name, and whether folders are checked. A faulty file keeps nobody alive."""
    from quarterdeck.ui.application import Application

    try:
        deck = Application.of(address, ()).deck
    except ConfigError:
        return {}, True
    return {spec.name: spec for spec in deck.processes}, deck.config.folder_check == "on"
