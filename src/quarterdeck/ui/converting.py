"""Converting: a Procfile, the programs of a supervisord.conf, or a pm2 ecosystem file to the text of quarterdeck.toml.

Rules: paths hold from the converted file's folder. A command that was meant for a shell (a Procfile's) gets one only
where it needs one. Every process is `ready = "running"`, as none of the three knows more of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from quarterdeck.deckfile import parse_deckfile
from quarterdeck.deckfile.variables import read_variables
from quarterdeck.errors import ConfigError
from quarterdeck.ui.converting_pm2 import pm2_drafts
from quarterdeck.ui.converting_supervisor import supervisor_drafts
from quarterdeck.ui.drafting import Draft, Found, command_keys, file_text, folder_keys, read_source

PORT_FIRST: Final = 5_000
PORT_STEP: Final = 100
"""The PORT that foreman and honcho give the first process, and how far the next one's is."""


def convert(source: Path, target: Path) -> str:
    """The text of the quarterdeck.toml that is to be `target`; it would pass `quarterdeck check`.

    Raises: ConfigError where the source cannot be read, naming the line or the key.
    """
    drafts, notes = _reader(source)(source, target)
    if not drafts:
        raise ConfigError(f"{source}: no process in it")
    for draft in drafts:
        draft.keys["ready"] = "running"
    text = file_text(source.name, drafts, notes)
    parse_deckfile(text, target)
    return text


def _reader(source: Path) -> Callable[[Path, Path], Found]:
    if source.suffix in (".conf", ".ini"):
        return supervisor_drafts
    if source.suffix in (".json", ".js", ".cjs"):
        return pm2_drafts
    if "procfile" in source.name.lower():
        return procfile_drafts
    raise ConfigError(
        f"{source}: expected a Procfile, a supervisord.conf or .ini, or a pm2 ecosystem file (.json, .js, .cjs)"
    )


def procfile_drafts(source: Path, target: Path) -> Found:
    """`NAME: COMMAND` lines, the command a shell's; `.env` beside it holds for all, as with foreman and honcho."""
    folder = source.absolute().parent
    first = _first_port(folder / ".env")
    drafts: dict[str, Draft] = {}
    for number, line in enumerate(read_source(source).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*([A-Za-z0-9_.-]+)\s*:\s*(\S.*?)\s*", line)
        if match is None:
            raise ConfigError(f"{source}: line {number}: expected NAME: COMMAND, found {line.strip()}")
        name, command = match.groups()
        if name in drafts:
            raise ConfigError(f"{source}: line {number}: {name} is there twice")
        try:
            drafts[name] = _procfile_draft(name, command, folder, target, first + PORT_STEP * len(drafts))
        except ValueError as error:
            raise ConfigError(f"{source}: line {number}: {error}") from None
    return list(drafts.values()), []


def _procfile_draft(name: str, command: str, folder: Path, target: Path, port: int) -> Draft:
    notes: list[str] = []
    keys = command_keys(command, notes)
    keys |= folder_keys(folder, target, notes)
    if re.search(r"\$\{?PORT\b", command) and "PORT" not in keys.get("env", {}):
        keys["env"] = {"PORT": str(port), **keys.get("env", {})}
        notes.append("The PORT is the one that foreman and honcho would have given.")
    if (folder / ".env").is_file():
        keys["env_file"] = os.path.relpath(folder / ".env", target.absolute().parent)
    return Draft(name, keys, notes)


def _first_port(variables: Path) -> int:
    """The PORT that counting begins with: that of `.env`, where there is one."""
    try:
        return int(read_variables(variables.read_text(encoding="utf-8-sig")).get("PORT", PORT_FIRST))
    except (OSError, ValueError):  # what is wrong with the file is said once the new one is checked
        return PORT_FIRST
