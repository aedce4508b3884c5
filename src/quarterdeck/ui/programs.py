"""Programs: which of those that a quarterdeck.toml names this machine does not have."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck.deckfile import DeckFile


def programs_missing(deck: DeckFile) -> list[str]:
    """A line for each; another machine may have it, or this one later, so it is no fault of the file."""
    lines = []
    for spec in deck.processes:
        program = spec.command[0]
        place = os.path.join(spec.cwd, program) if os.path.dirname(program) else program
        if shutil.which(place, path=spec.env.get("PATH")) is None:
            lines.append(f"{spec.name}: this machine has no program {program}")
    return lines
