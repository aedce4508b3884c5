"""The tables of quarterdeck.toml as they are written: every key with its type, bounds, default and what it is.

The JSON Schema for editors and the table of keys in the documentation come from here. A key without a default is
`UNSET` where it is left out. Times are seconds, sizes bytes or a text as `"512M"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import fields

from quarterdeck.config import Config, Limits, Seconds
from quarterdeck.deckfile.finding import DATA_DIR
from quarterdeck.schema.jsonschema import document_schema
from quarterdeck.schema.types import ProcessKind, RestartPolicy

NAME_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
SIZE_PATTERN: Final = r"^[0-9]{1,16}(\.[0-9]{1,3})?\s*([KMGTkmgt]([iI]?[bB])?)?$"
PATH_PATTERN: Final = r"^[^\x00]+$"
SIZE_MAX: Final = 2**53 - 1
STOP_SIGNALS: Final = (
    "SIGTERM",
    "SIGINT",
    "SIGHUP",
    "SIGQUIT",
    "SIGKILL",
    "SIGUSR1",
    "SIGUSR2",
    "SIGABRT",
    "SIGALRM",
    "SIGWINCH",
)

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Words = Annotated[str, Meta(min_length=1)] | Annotated[tuple[str, ...], Meta(min_length=1)]
"""A command: a text that is split as a shell would, or its words as they are."""
Size = Annotated[int, Meta(ge=1, le=SIZE_MAX)] | Annotated[str, Meta(pattern=SIZE_PATTERN)]
Delay = Annotated[float, Meta(ge=0, le=31_536_000)]
"""Seconds that may be none."""
FilePath = Annotated[str, Meta(pattern=PATH_PATTERN, max_length=4096)]


class ReadyTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What shows that a process is ready; exactly one of these."""

    port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | UnsetType, "somebody accepts connections at this TCP port of localhost"
    ] = UNSET
    log: Annotated[
        Annotated[str, Meta(min_length=1)] | UnsetType, "a line of its output matches this regular expression somewhere"
    ] = UNSET
    exec: Annotated[Words | UnsetType, "this command, run again and again, ends with 0"] = UNSET


class ProcessTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One process: `[process.NAME]`."""

    command: Annotated[
        Words, "the program and its arguments: a text, split as a shell would but never run by one, or a list of words"
    ]
    kind: Annotated[ProcessKind, "what it is to the launcher; `host`: the application's main process"] = "srv"
    cwd: Annotated[FilePath, "the folder that it runs in, relative to this file's"] = "."
    env: Annotated[
        dict[str, str | int], "variables of its environment, over the launcher's own; nothing in them is expanded"
    ] = field(default_factory=dict)
    env_file: Annotated[
        FilePath | UnsetType, "a file of `KEY=VALUE` lines, relative to this file's folder; `env` goes before it"
    ] = UNSET
    after: Annotated[
        tuple[str, ...], "the processes that must be ready before it starts; at the end it goes first"
    ] = ()
    ready: Annotated[
        Literal["registered", "running"] | ReadyTable,
        "what shows that it is ready: `registered` with the launcher (for its clients only), `running` as soon as it "
        'runs, or one of `{ port = 8000 }`, `{ log = "regex" }`, `{ exec = "command" }`',
    ] = "registered"
    ready_timeout_s: Annotated[Seconds, "not ready by then, it is ended and counts as failed"] = 60.0
    restart: Annotated[
        RestartPolicy, "when it is started again: `never`; `on-failure`, not after exit code 0; `always`"
    ] = "on-failure"
    backoff_s: Annotated[Seconds, "the wait before the first restart; it doubles with each one"] = 1.0
    backoff_max_s: Annotated[Seconds, "the longest wait before a restart"] = 30.0
    stable_s: Annotated[Delay, "after being ready this long, waits and restarts are counted anew"] = 10.0
    restarts_max: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)], "restarts within `restarts_window_s`; after that it has failed"
    ] = 10
    restarts_window_s: Annotated[Seconds, "the time in which restarts are counted"] = 600.0
    stop_signal: Annotated[str, f"what asks it to end: {' '.join(f'`{name}`' for name in STOP_SIGNALS)}"] = "SIGTERM"
    stop_grace_s: Annotated[Delay, "the time to end by itself; then it is killed with all that it started"] = 10.0
    replicas: Annotated[
        Annotated[int, Meta(ge=1, le=256)], "how many of it run; more than one are called `NAME-1`, `NAME-2`, …"
    ] = 1
    memory_max: Annotated[Size | UnsetType, "memory that it and its descendants may use, at least `1M`"] = UNSET
    optional: Annotated[bool, "what comes after it starts even if it has failed"] = False
    autostart: Annotated[bool, "whether it starts with the launcher, or only when asked for"] = True
    log_max: Annotated[Size, "the size at which its log file is rotated"] = "10M"
    log_files: Annotated[
        Annotated[int, Meta(ge=1, le=100)], "how many rotated log files are kept beside the current one"
    ] = 3
    user_data: Annotated[
        dict[str, Any], "anything; the process gets it as JSON in `QUARTERDECK_USER_DATA`, if there is any"
    ] = field(default_factory=dict)


class DeckTable(Config, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[quarterdeck]`: every setting of the launcher, and what holds for the deck as a whole."""

    data_dir: Annotated[FilePath, "the launcher's data folder, relative to this file's"] = DATA_DIR
    on_launcher_death: Annotated[
        Literal["kill", "adopt"],
        "what becomes of the processes when the launcher dies: killed at once, or adopted by the next launcher",
    ] = "kill"
    exit_from: Annotated[
        str | UnsetType, "the process whose exit code becomes the launcher's; `host`: the one of that kind"
    ] = UNSET


SLICE_PATTERN: Final = r"^[a-z][a-z0-9_]{0,31}$"
CLASS_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$"

SliceName = Annotated[str, Meta(pattern=SLICE_PATTERN)]
ClassName = Annotated[str, Meta(pattern=CLASS_PATTERN)]
"""An application's class: `module:NAME`."""


class FileTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    quarterdeck: Annotated[DeckTable, "settings of the launcher, and what holds for the deck as a whole"] = DeckTable()
    process: Annotated[
        Annotated[dict[Name, ProcessTable], Meta(min_length=1)], "the processes, each a table `[process.NAME]`"
    ]
    slices: Annotated[
        dict[SliceName, ClassName],
        "the application's slices: `NAME = \"module:CLASS\"`; the module is looked for in this file's folder, too",
    ] = field(default_factory=dict)
    sagas: Annotated[
        tuple[ClassName, ...],
        'the application\'s sagas, each a `"module:CLASS"`, looked for as slices are; it stands above the first table',
    ] = ()


class Key(Struct, frozen=True):
    """One key of a table: its type as it was declared, its words, and whether it has no default."""

    name: str
    hint: Any
    what: str
    is_required: bool


@cache
def keys_of(table: type[Struct]) -> Mapping[str, Key]:
    """The keys of a table by name, in the order of definition. Kept, for each process has the same ones."""
    hints = get_type_hints(table, include_extras=True)
    return {
        each.name: Key(each.name, hints[each.name], _what(hints[each.name]), each.required) for each in fields(table)
    }


def deckfile_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of quarterdeck.toml, for editors; every key says what it is."""
    schema = document_schema(FileTable, "quarterdeck.toml")
    for table in (FileTable, DeckTable, Limits, ProcessTable, ReadyTable):
        properties = schema["$defs"][table.__name__]["properties"]
        for name, key in keys_of(table).items():
            properties[name]["description"] = key.what
    schema["$defs"]["ProcessTable"]["properties"]["stop_signal"]["enum"] = list(STOP_SIGNALS)
    return schema


def _what(hint: Any) -> str:
    """The words in a member's `Annotated`."""
    return next(part for part in get_args(hint)[1:] if isinstance(part, str))
