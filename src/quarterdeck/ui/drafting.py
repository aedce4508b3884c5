"""Drafts: processes on their way into a new quarterdeck.toml, and that file's text, with its comments.

What another program's file says and ours cannot is never dropped in silence: it becomes a note above the process.
"""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from quarterdeck.deckfile import words
from quarterdeck.errors import ConfigError

OPERATORS: Final = frozenset("();<>|&")
SHELL_WORDS: Final = re.compile(r"(\.|!|:|cd|command|eval|exec|export|set|source|trap|ulimit|umask)(?=\s|$)")
"""What a shell does itself when it comes first."""
COMMENT_COLUMNS: Final = 110
HEAD: Final = """\
# The processes of this application, for Quarterdeck. All keys: docs/processes.md
# Is it right?  quarterdeck check          Start it:  quarterdeck up
"""
READY_NOTE: Final = """\
# ready = "running": a process counts as ready as soon as it runs. Say more where something comes after it:
# ready = { port = 8000 }, { log = "listening" }, { exec = "pg_isready -q" }, or "registered" for one that registers
# with the launcher. Order them by after = ["db"].
"""
SCRATCH: Final = """\
# [quarterdeck]
# on_launcher_death = "kill"     # or "adopt": the processes live on, and the next launcher takes them over
# exit_from = "web"              # the process whose exit code becomes the launcher's
# data_dir = ".quarterdeck"      # the launcher's data, beside this file; leave it out of version control
# log_level = "info"             # every setting of the launcher may stand here (docs/limits.md)

[process.web]
command = "python3 -m http.server --bind 127.0.0.1 8000"     # never run by a shell; or a list of words
ready = { port = 8000 }          # or "running", { log = "regex" }, { exec = "command" },
                                 # or "registered" (the default), for programs that register with the launcher

# kind = "srv"                   # or "host" (the application's main process), "renderer", "tool"
# cwd = "."                      # relative to this file's folder
# env = { GREETING = "hello" }
# env_file = ".env"              # KEY=VALUE lines
# after = ["db"]                 # what must be ready before it starts
# ready_timeout_s = 60
# restart = "on-failure"         # or "always", "never"
# backoff_s = 1                  # the wait before the first restart; it doubles up to backoff_max_s
# backoff_max_s = 30
# stable_s = 10                  # after running this long, restarts are counted anew
# restarts_max = 10              # within restarts_window_s; after that it has failed
# restarts_window_s = 600
# stop_signal = "SIGTERM"
# stop_grace_s = 10              # then it is killed, with all that it started
# replicas = 1
# memory_max = "512M"
# optional = false               # true: what comes after it starts even if it has failed
# autostart = true
# log_max = "10M"
# log_files = 3
# user_data = { color = "blue" } # anything, for the process and whoever lists it
"""


@dataclass
class Draft:
    """One process: its keys in the order in which they are to stand, and notes for whoever reads the file."""

    name: str
    keys: dict[str, Any]
    notes: list[str] = field(default_factory=list)


Found = tuple[list[Draft], list[str]]
"""The processes of a file, and notes on what of it is no process."""


def read_source(source: Path) -> str:
    """The text of a file that is to be converted. Raises: ConfigError where it cannot be read."""
    try:
        return source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: expected UTF-8 text") from None


def scratch_text() -> str:
    """A new file with one process to change, and every other key in a comment."""
    return f"{HEAD}\n{SCRATCH}"


def file_text(source: str, drafts: Iterable[Draft], notes: Iterable[str]) -> str:
    """The file that was converted from `source`."""
    parts = [f"{HEAD}# Written from {source} by quarterdeck init.\n{READY_NOTE}"]
    parts += ["".join(_comment(note) for note in notes)]
    parts += [_table(draft) for draft in _named(drafts)]
    return "\n".join(filter(None, parts))


def shell_command(text: str) -> list[str]:
    """The words that have a shell run the text; it becomes the program itself where the text is but one command."""
    try:
        tokens = list(shlex.shlex(text, posix=True, punctuation_chars=True))
    except ValueError:  # a quote that only a shell's own syntax closes
        tokens = ["("]
    is_plain = not any(OPERATORS.issuperset(token) for token in tokens)
    if SHELL_WORDS.match(text) or not re.match(r"[\w./+-]+(\s|$)", text):
        is_plain = False
    return ["sh", "-c", f"exec {text}" if is_plain else text]


def take_assignments(text: str) -> tuple[dict[str, str], str]:
    """The `NAME=value` in front of a command that need no shell, and the rest of it."""
    env: dict[str, str] = {}
    plain = r"""[^\s"'\\$`|&;<>()*?\[~#]|"[^"\\$`]*"|'[^']*'"""
    while match := re.match(rf"\s*([A-Za-z_]\w*)=((?:{plain})*)\s+(?=\S)", text):
        env[match[1]] = "".join(shlex.split(match[2]))
        text = text[match.end() :]
    return env, text


def command_keys(text: str, notes: list[str]) -> dict[str, Any]:
    """`command` and `env` of a command line that was meant for a shell; it runs in one only if it must."""
    env, rest = take_assignments(text)
    is_chain = any(sign in rest for sign in ("|", ";", "&"))
    if not is_chain:
        rest = re.sub(r"^exec\s+(?=[^-\s])", "", rest)  # it becomes the program anyway
    own = SHELL_WORDS.match(rest)
    piece = words.shell_syntax(rest) or (own[0] if own is not None else None)
    if piece is not None and env and is_chain:  # they would hold for the first command only
        env, rest = {}, text
    if piece is None:
        words.split(rest)
        return {"command": rest, **({"env": env} if env else {})}
    notes.append(f"{piece} needs a shell, so this runs one.")
    return {"command": shell_command(rest), **({"env": env} if env else {})}


def folder_keys(folder: Path, target: Path, notes: list[str]) -> dict[str, Any]:
    """`cwd`, if the folder is not the new file's own; one that is not there becomes a note."""
    if not folder.is_dir():
        notes.append(f"cwd = {toml(str(folder))} is left out: there is no such folder here.")
        return {}
    near = os.path.relpath(folder, target.parent)
    if near == ".":
        return {}
    return {"cwd": str(folder) if near.startswith("../..") else near}


def toml(value: Any) -> str:
    """A value as TOML 1.0 writes it: text, number, truth, list, inline table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(name)} = {toml(item)}" for name, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(draft: Draft) -> str:
    lines = [f"[process.{_key(draft.name)}]\n", *(_comment(note) for note in draft.notes)]
    lines += [f"{name} = {toml(value)}\n" for name, value in draft.keys.items()]
    return "".join(lines)


def _named(drafts: Iterable[Draft]) -> Iterator[Draft]:
    """The same with names that are allowed and none taken twice; a changed one is noted."""
    taken: set[str] = set()
    for draft in drafts:
        base = re.sub(r"[^A-Za-z0-9_.-]+", "-", draft.name).strip("-.")[:56] or "process"
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        replicas = draft.keys.get("replicas", 1)
        taken |= {name, *(f"{name}-{each}" for each in range(1, replicas + 1) if replicas > 1)}
        note = [f"It was called {toml(draft.name)}."] if name != draft.name else []
        yield Draft(name, draft.keys, [*note, *draft.notes])


def _comment(text: str) -> str:
    lines = textwrap.wrap(text, COMMENT_COLUMNS, break_long_words=False, break_on_hyphens=False)
    return "".join(f"# {''.join(c if c.isprintable() else '?' for c in line)}\n" for line in lines)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    if '"' in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 2**16 else f"\\U{ord(character):08x}"
