"""Converting a supervisord.conf: its [program:x] sections to drafts.

Its commands are run by no shell either, so they stay as they are. What has no counterpart becomes a note.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from quarterdeck.errors import ConfigError
from quarterdeck.ui.drafting import Draft, Found, folder_keys, read_source

RESTARTS: Final = {"true": "always", "false": "never", "unexpected": "on-failure"}
KEYS: Final = (
    "command",
    "process_name",
    "numprocs",
    "numprocs_start",
    "directory",
    "environment",
    "autostart",
    "autorestart",
    "startsecs",
    "startretries",
    "stopsignal",
    "stopwaitsecs",
    "priority",
    "user",
)
IMPLIED: Final = {
    "stopasgroup": "every stop goes to the whole process group",
    "killasgroup": "every kill takes all that the process started",
    "redirect_stderr": "both are kept in one log file, each line marked out or err",
    "stdout_logfile": "see quarterdeck logs",
    "stderr_logfile": "see quarterdeck logs",
}


def supervisor_drafts(source: Path, target: Path) -> Found:
    """The [program:x] sections, by priority; what else there is becomes a note."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(read_source(source), str(source))
    except configparser.Error as error:
        raise ConfigError(f"{source}: {' '.join(str(error).split())}") from None
    programs = [name for name in parser.sections() if name.startswith("program:")]
    rest = [
        f"[{name}] is not converted."
        for name in parser.sections()
        if name.startswith(("group:", "eventlistener:", "fcgi-program:", "include"))
    ]
    programs.sort(key=lambda name: _whole(source, name, "priority", parser[name].get("priority", "999")))
    return [draft for name in programs for draft in _program_drafts(source, target, name, parser[name])], rest


def _program_drafts(source: Path, target: Path, section: str, given: Mapping[str, str]) -> list[Draft]:
    """One process; or one for each number where its command tells them apart."""
    name = section.removeprefix("program:").strip()
    count = _whole(source, section, "numprocs", given.get("numprocs", "1"))
    first = _whole(source, section, "numprocs_start", given.get("numprocs_start", "0"))
    told = ("command", "environment", "directory")
    if count > 1 and any("%(process_num)" in given.get(key, "") for key in told):
        return [
            _program_draft(source, target, section, f"{name}_{number}", given, number)
            for number in range(first, first + count)
        ]
    draft = _program_draft(source, target, section, name, given, first)
    if count > 1:
        draft.keys["replicas"] = count
    return [draft]


def _program_draft(source: Path, target: Path, section: str, name: str, given: Mapping[str, str], number: int) -> Draft:
    notes: list[str] = []
    names = {
        "here": str(source.absolute().parent),
        "program_name": section.removeprefix("program:"),
        "process_num": number,
    }
    values = {key: _expanded(source, section, key, value, names, notes) for key, value in given.items()}
    if not values.get("command", "").strip():
        raise ConfigError(f"{source}: [{section}] command: missing")
    keys: dict[str, Any] = {"command": values["command"]}
    keys |= folder_keys(source.absolute().parent / values.get("directory", "."), target, notes)
    if values.get("environment"):
        keys["env"] = _environment(source, section, values["environment"])
    keys |= _supervision(source, section, values)
    notes += [f"priority was {values['priority']}: say what it comes after instead."] if "priority" in values else []
    notes += [f"user = {values['user']} has no counterpart: it runs as you do."] if "user" in values else []
    for key in sorted(values.keys() - KEYS):
        notes.append(f"{key} = {values[key]}: {IMPLIED.get(key, 'has no counterpart')}.")
    return Draft(name, keys, notes)


def _supervision(source: Path, section: str, values: Mapping[str, str]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if "autorestart" in values:
        restart = values["autorestart"].lower()
        if restart not in RESTARTS:
            raise ConfigError(f"{source}: [{section}] autorestart: expected true, false or unexpected, found {restart}")
        keys["restart"] = RESTARTS[restart]
    if "startretries" in values:
        keys["restarts_max"] = _whole(source, section, "startretries", values["startretries"])
    if "startsecs" in values:
        keys["stable_s"] = _whole(source, section, "startsecs", values["startsecs"])
    if "stopsignal" in values:
        keys["stop_signal"] = f"SIG{values['stopsignal'].upper().removeprefix('SIG')}"
    if "stopwaitsecs" in values:
        keys["stop_grace_s"] = _whole(source, section, "stopwaitsecs", values["stopwaitsecs"])
    if values.get("autostart", "true").lower() in ("false", "no", "off", "0"):
        keys["autostart"] = False
    return keys


def _expanded(source: Path, section: str, key: str, value: str, names: Mapping[str, Any], notes: list[str]) -> str:
    """The value with `%(here)s`, `%(process_num)02d`, `%(ENV_HOME)s` and their like replaced."""

    def replaced(match: re.Match[str]) -> str:
        name, form = match.group(1, 2)
        if name is None:
            return "%"
        if name.startswith("ENV_") and name[4:] in os.environ:
            notes.append(f"{key} holds the value that {name[4:]} had when this was written.")
            return os.environ[name[4:]]
        if name not in names:
            raise ConfigError(f"{source}: [{section}] {key}: nothing is known of %({name}){form}")
        return f"%{form}" % (names[name],)

    return re.sub(r"%(?:%|\((\w+)\)(\d*[sd]))", replaced, value)


def _environment(source: Path, section: str, text: str) -> dict[str, str]:
    pair = r"""\s*([A-Za-z_]\w*)\s*=\s*("[^"]*"|'[^']*'|[^,"']*?)\s*"""
    if not re.fullmatch(rf"{pair}(?:,{pair})*,?\s*", text):
        raise ConfigError(f'{source}: [{section}] environment: expected KEY="value",KEY="value", found {text}')
    return {name: value.strip("\"'") for name, value in re.findall(rf"{pair}(?:,|$)", text)}


def _whole(source: Path, section: str, key: str, text: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text.strip()):
        raise ConfigError(f"{source}: [{section}] {key}: expected an integer, found {text}")
    return int(text)
