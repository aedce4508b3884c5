"""Programs: which of those that a quarterdeck.toml names this machine does not have, or may not run."""

from __future__ import annotations

import os
import shlex
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
            lines.append(f"{spec.name}: {_why_not(program, os.path.normpath(place))}")
    return lines


def _why_not(program: str, place: str) -> str:
    is_path = os.path.dirname(program)
    if is_path and os.path.isdir(place):
        return f"{program} is a folder, not a program"
    if is_path and os.path.exists(place):
        return f"{program} is not executable: chmod +x {shlex.quote(place)}"
    if len(words := program.split()) > 1:
        return f"this machine has no program {program!r}; in a list each word stands by itself: {_listed(words)}"
    return f"this machine has no program {program}"


def _listed(words: list[str]) -> str:
    quoted = ", ".join(f'"{word}"' for word in words)
    return f"[{quoted}]"
