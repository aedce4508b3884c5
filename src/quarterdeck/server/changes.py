"""Changes: what a reload of the configuration changes, in one line, and what of it only the next start takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quarterdeck.config import Config
from quarterdeck.deckfile import DeckFile, revision_of

AT_ONCE: Final = ("on_launcher_death", "exit_from")
"""The keys of `[quarterdeck]` that are about the processes, and count from a reload on as they do."""
NAMES_MAX: Final = 8
"""So many of a kind are named."""


def changes(before: DeckFile, after: DeckFile) -> str:
    """Which processes are new, which restart, which are gone, which settings count at once and which wait for the next
    start.
    """
    old = {spec.name: revision_of(spec) for spec in before.processes}
    new = {spec.name: revision_of(spec) for spec in after.processes}
    kinds = {
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "new": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
    }
    said = [f"{kind}: {_few(names)}" for kind, names in kinds.items() if names]
    at_once = [name for name in AT_ONCE if getattr(before, name) != getattr(after, name)]
    said += [f"at once: {_few(at_once)}"] if at_once else []
    later = counts_later(before, after)
    said += [f"from the next start on: {_few(later)}"] if later else []
    return "; ".join(said) or "no process has changed"


def counts_later(before: DeckFile, after: DeckFile) -> list[str]:
    """The keys of `[quarterdeck]` that differ and count from the launcher's next start on, and the application's own
    classes.
    """
    settings = Config.__struct_fields__
    differ = [name for name in settings if getattr(before.config, name) != getattr(after.config, name)]
    others = ("data_dir", "slices", "sagas")
    return [name for name in others if getattr(before, name) != getattr(after, name)] + differ


def _few(names: Iterable[str]) -> str:
    named = list(names)
    more = len(named) - NAMES_MAX
    return ", ".join(named[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
