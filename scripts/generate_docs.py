"""Write the tables of the documentation from the sources: settings, limits, every line of the protocol, every state.

    python scripts/generate_docs.py            write docs/limits.md, docs/protocol-tables.md and the tables in
                                               docs/processes.md and docs/metrics.md
    python scripts/generate_docs.py --check    only say whether they are current (exit code 1 if not)

A test does the latter. What a table says comes from the code: bounds from the types, words from the docstrings, states
from the tables that the machines run by. Only what no type can say is written here.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, get_args, get_origin

import msgspec
from msgspec import inspect

from quarterdeck.config import Config, describe
from quarterdeck.core.lifecycle import NEXT
from quarterdeck.core.reducer import ROLES
from quarterdeck.deckfile.complaints import expected
from quarterdeck.deckfile.tables import DeckTable, ProcessTable, keys_of
from quarterdeck.schema import commands, events, replies, types
from quarterdeck.server.metrics import METRICS, Metric
from quarterdeck.wire.connection import ADMITTED, CLASSES, Phase

FOLDER: Final = Path(__file__).parent.parent / "docs"
NOTICE: Final = "<!-- Written by scripts/generate_docs.py from the sources; changes made here are lost. -->"
TABLES_NOTICE: Final = (
    "<!-- The tables down to the next heading are written by scripts/generate_docs.py; changes made here are lost. -->"
)

REPLY_OF: Final[dict[type, str]] = {
    commands.Register: "`registered`",
    commands.Ping: "`pong`",
    commands.GetSnapshot: "`snapshot`",
    commands.GetMetrics: "`metrics`",
    commands.GetEvents: "`event_list`",
    commands.Subscribe: "[`snapshot`], `subscribed`",
}
"""Direct replies other than `ack`."""

ERRORS: Final[dict[str, tuple[str, str]]] = {
    "invalid_command": (
        "no, but the last of `limits.bad_lines` in a row",
        "the line is no command, or a member of it is wrong",
    ),
    "line_too_long": (
        "no, but the last of `limits.bad_lines` in a row",
        "the line is longer than `limits.max_line_bytes`",
    ),
    "not_registered": ("for all but queries and directives", "something came before `register`"),
    "already_registered": ("if the pid is another connection's", "the connection, or the pid, is registered already"),
    "forbidden": ("in answer to `register`", "not for this kind of client"),
    "conflict": ("in answer to `register`", "it would break an invariant, such as: one host"),
    "shutting_down": ("in answer to `register`", "the launcher is quitting"),
    "misrouted": ("no", "a directive was sent to the launcher"),
    "unknown_process": ("no", "no child has this name"),
    "unknown_run": ("no", "`run_id` names another run"),
    "limit_reached": ("no", "a limit, which the message names"),
    "internal": ("no", "a rule broke down over it; the launcher's log says where, and nothing of it is told"),
    "permission_denied": ("yes", "the peer is another user"),
    "pid_mismatch": ("yes", "the claimed pid is neither the peer nor its descendant"),
    "too_many_connections": (
        "yes",
        "`limits.connections` are open, or `limits.connections_per_process` of your process's",
    ),
    "register_timeout": ("yes", "no `register` within `limits.register_timeout`"),
    "lagging": ("yes", "events were lost, and the subscription was `slow: disconnect`"),
}
VERDICTS: Final = {
    "pass": "passes",
    "too_early": "`not_registered`",
    "too_early_fatal": "`not_registered`, fatal",
    "twice": "`already_registered`",
    "misrouted": "`misrouted`",
}
CLASS_WORDS: Final = {
    "register": "`register`",
    "query": "a query",
    "misrouted": "a directive",
    "other": "any other command",
}
POWERS: Final = {
    2**31 - 1: "2^31-1",
    2**32 - 1: "2^32-1",
    2**53 - 1: "2^53-1",
    2**53: "2^53",
    2**64 - 1: "2^64-1",
    -(2**31): "-2^31",
    -(2**53): "-2^53",
}
"""Bounds that are clearer as powers."""
U64: Final = (0, None)
"""The bounds that msgspec holds of a u64 member: it is bounded above by a check of its own."""


# --- the documents


def limits_page() -> str:
    """docs/limits.md."""
    settings = [setting for setting in describe() if not setting.key.startswith("limits.")]
    limits = [setting for setting in describe() if setting.key.startswith("limits.")]
    return _page(
        "# Settings and limits",
        _prose(
            "Given to `quarterdeck serve` as `--set KEY=VALUE`, each as often as needed; the last one of a key "
            "counts. Sizes are bytes, times seconds. The `limits.` of a limit may be left out. A value out of "
            "range is refused at the start, by name."
        ),
        "## Settings",
        _table(
            ("key", "default", "values", "what it is"),
            ((f"`{row.key}`", f"`{row.default}`", _values(row.key), row.what) for row in settings),
        ),
        "## Limits",
        "Each is checked before anything is stored.",
        _table(("key", "default", "what it is"), ((f"`{row.key}`", _grouped(row.default), row.what) for row in limits)),
    )


def tables_page() -> str:
    """docs/protocol-tables.md."""
    return _page(
        "# Tables of the protocol",
        _prose(
            "Every line of protocol version 1 with its members, as the code defines them; the rules are in "
            "[protocol.md](protocol.md), the same as JSON Schema comes from `quarterdeck schema`. An optional "
            "member is marked `?`: it may be left out, or be null. Lengths of texts count characters."
        ),
        "## Commands",
        _prose(
            "Every command may also carry `id?`, an integer of -2^53…2^53 or a text of 0…64. One without a "
            "reply of its own is answered by `ack` if it has an `id`."
        ),
        _table(("`cmd`", "what it asks", "members", "who", "reply"), map(_command_row, commands.COMMAND_TYPES)),
        "## Stream events",
        "Every stream event also has `version`. A member without a value is null.",
        _table(("`event`", "what happened", "members"), map(_event_row, events.EVENT_TYPES)),
        "## Replies",
        _table(("`event`", "what it says", "members"), map(_event_row, replies.REPLY_TYPES)),
        "## Directives",
        'Marked `"kind":"command"` and tagged by `cmd`; only the launcher sends them.',
        _table(("`cmd`", "what it asks", "members"), map(_event_row, replies.DIRECTIVE_TYPES)),
        "## Errors",
        _table(("`code`", "fatal", "when"), ((f"`{code}`", *ERRORS[code]) for code in get_args(types.ErrorCode))),
        "## Objects",
        _table(("object", "what it is", "members"), map(_object_row, _objects())),
        "## States",
        "### Connection",
        "What becomes of a known command, by the phase of its connection. Queries are "
        + _listed(f"`{name}`" for name in commands.COMMAND_NAMES if CLASSES[name] == "query")
        + ".",
        _admitted_table(),
        _connection_diagram(),
        "### Launcher",
        _prose(
            "The first host moves `starting` to `running`, `quit` or a signal either of them to `quitting`; "
            "when everybody was told, it is `dead`."
        ),
        _diagram((phase, after) for phase, following in NEXT.items() for after in following),
    )


def processes_page() -> str:
    """docs/processes.md: as it is, with the tables of keys written anew."""
    return _with_tables(
        "processes.md",
        "### `[process.NAME]`",
        "A name has 1 to 64 letters, digits, `_`, `-` and `.`, and begins with none of the last two.",
        _keys_table(ProcessTable, without=()),
        "### `[quarterdeck]`",
        "Every [setting](limits.md#settings), every [limit](limits.md#limits) in `[quarterdeck.limits]`, and:",
        _keys_table(DeckTable, without=Config.__struct_fields__),
        "### Slices and sagas",
        '```toml\nsagas = ["tabs:TearOffTab"]\n\n[slices]\ntabs = "tabs:Tabs"\n```',
        _prose(
            "In `[slices]` are the application's own [slices](slices.md): each key is a slice's name, its value the "
            'class as `"module:CLASS"`. `sagas` is the list of its own [sagas](sagas.md#your-own); as a plain key it '
            "stands above the first `[table]`. The modules are looked for where Python looks, and in this file's "
            "folder. A launcher takes a change of these up when it is started anew, and `quarterdeck reload` says so."
        ),
    )


def metrics_page() -> str:
    """docs/metrics.md: as it is, with the table of metrics written anew."""
    columns = ("name", "type", "unit", "labels", "what it is")
    return _with_tables("metrics.md", _table(columns, map(_metric_row, METRICS)))


def _metric_row(metric: Metric) -> tuple[str, ...]:
    labels = " ".join(f"`{label}`" for label in metric.labels)
    return (f"`{metric.name}`", metric.type, metric.unit, labels, metric.what)


def _with_tables(name: str, *tables: str) -> str:
    """A page that people write, with the tables in it written anew."""
    written = (FOLDER / name).read_text(encoding="utf-8")
    before, after = written.split(TABLES_NOTICE)
    return before + "\n\n".join([TABLES_NOTICE, *tables]) + "\n" + after[after.index("\n## ") :]


PAGES: Final[dict[str, Callable[[], str]]] = {
    "limits.md": limits_page,
    "protocol-tables.md": tables_page,
    "processes.md": processes_page,
    "metrics.md": metrics_page,
}


# --- rows


def _command_row(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    reply = REPLY_OF.get(kind, "")
    who = "first" if kind is commands.Register else ", ".join(ROLES.get(kind, ("any",)))
    # What follows a semicolon in a command's docstring is for whoever reads the launcher's code.
    return (f"`{_tag(kind)}`", _first_words(kind).partition(";")[0], _members(kind, without=("id",)), who, reply)


def _keys_table(table: type[msgspec.Struct], without: Sequence[str]) -> str:
    members = {member.name: member for member in msgspec.structs.fields(table)}
    rows = (
        (f"`{name}`", _default(members[name]), expected(key.hint), key.what)
        for name, key in keys_of(table).items()
        if name not in without
    )
    return _table(("key", "default", "value", "what it is"), rows)


def _default(member: msgspec.structs.FieldInfo) -> str:
    """A default as a TOML file would write it."""
    if member.default_factory is not msgspec.NODEFAULT:
        return "`{}`"
    if member.default is msgspec.NODEFAULT:
        return "*required*"
    if member.default is msgspec.UNSET:
        return "none"
    return f"`{msgspec.json.encode(member.default).decode().removesuffix('.0')}`"


def _values(key: str) -> str:
    """The values that a setting may have."""
    info = inspect.type_info(Config)
    assert isinstance(info, inspect.StructType)
    kind = next(field.type for field in info.fields if field.name == key)
    kind = kind.type if isinstance(kind, inspect.Metadata) else kind
    if not isinstance(kind, inspect.LiteralType):
        return _words(kind)
    return " ".join(f"`{value}`" for value in sorted(map(str, kind.values)))


def _event_row(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    without = ("version",) if kind in events.EVENT_TYPES else ("kind",)
    return (f"`{_tag(kind)}`", _first_words(kind), _members(kind, without=without))


def _object_row(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return (_object_name(kind), _first_words(kind), _members(kind, without=()))


def _objects() -> tuple[type[msgspec.Struct], ...]:
    return (
        commands.Subscription,
        types.Rect,
        types.WindowRow,
        types.ProcessRow,
        types.ChildRow,
        types.SagaRow,
        types.SampleRow,
        types.ConnectionRow,
    )


def _object_name(kind: type) -> str:
    return kind.__name__.removesuffix("Row").lower()


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _first_words(kind: type) -> str:
    """The first paragraph of its docstring, without the sentence's end."""
    text = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return text.removesuffix(".")


def _members(kind: type[msgspec.Struct], without: Sequence[str]) -> str:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return "<br>".join(_member(field) for field in info.fields if field.encode_name not in without)


def _member(field: inspect.Field) -> str:
    if field.required:
        return f"`{field.encode_name}` {_words(field.type)}"
    default = "" if field.default in (None, msgspec.NODEFAULT) else f", default {field.default}"
    return f"`{field.encode_name}?` {_words(_without_null(field.type))}{default}"


def _without_null(info: inspect.Type) -> inspect.Type:
    """The type of an optional member: that null means absent is said once for all."""
    if isinstance(info, inspect.UnionType):
        rest = tuple(option for option in info.types if not isinstance(option, inspect.NoneType))
        return rest[0] if len(rest) == 1 else inspect.UnionType(rest)
    return info


# --- types in words


def _words(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return _words(info.type)
    if isinstance(info, inspect.UnionType):
        return " or ".join(dict.fromkeys(_words(option) for option in info.types))
    if isinstance(info, inspect.IntType):
        return _integer(info)
    if isinstance(info, inspect.StrType):
        return _text(info)
    if isinstance(info, inspect.LiteralType):
        return _one_of(info)
    if isinstance(info, inspect.StructType):
        return _object_name(info.cls)
    return _plain(info)


def _one_of(info: inspect.LiteralType) -> str:
    """The values in the order in which they are defined, which msgspec does not keep."""
    values = set(info.values)
    if values == {True}:
        return "`true`"
    if values == set(get_args(types.ErrorCode)):
        return "one of [these](#errors)"
    defined = (get_args(value) for value in vars(types).values() if get_origin(value) is Literal)
    ordered = next((args for args in defined if set(args) == values), sorted(map(str, values)))
    return "one of " + " ".join(f"`{value}`" for value in ordered)


def _plain(info: inspect.Type) -> str:
    if isinstance(info, inspect.VarTupleType):
        return f"list{_count(info.min_length, info.max_length)} of {_words(info.item_type)}"
    if isinstance(info, inspect.TupleType):
        return f"pair [{', '.join(map(_words, info.item_types))}]"
    plain: dict[type[inspect.Type], str] = {
        inspect.BoolType: "bool",
        inspect.FloatType: "number",
        inspect.NoneType: "null",
        inspect.AnyType: "any JSON",
        inspect.RawType: "object",
        inspect.DictType: "object",
    }
    return plain[type(info)]


def _integer(info: inspect.IntType) -> str:
    if (info.ge, info.le) == U64:
        return "u64"
    if info.ge is None or info.le is None:
        return "integer"
    return f"integer {_number(info.ge)}…{_number(info.le)}"


def _text(info: inspect.StrType) -> str:
    if info.max_length is None:
        return "text"
    return f"text {info.min_length or 0}…{info.max_length}"


def _count(low: int | None, high: int | None) -> str:
    return "" if high is None else f" ({low or 0}…{high})"


def _number(value: int) -> str:
    return POWERS.get(value, str(value))


# --- states


def _admitted_table() -> str:
    classes = list(dict.fromkeys(verdict for verdicts in ADMITTED.values() for verdict in verdicts))
    rows = ((phase.value, *(VERDICTS[verdicts[name]] for name in classes)) for phase, verdicts in ADMITTED.items())
    return _table(("phase", *(CLASS_WORDS[name] for name in classes)), rows)


def _connection_diagram() -> str:
    new, registered, closed = (phase.value for phase in (Phase.NEW, Phase.REGISTERED, Phase.CLOSED))
    words = {
        (new, registered): "register",
        (new, closed): "fatal error, end of file",
        (registered, closed): "goodbye, fatal error, end of file",
    }
    return _diagram(words, words)


def _diagram(moves: Iterable[tuple[str, str]], words: dict[tuple[str, str], str] | None = None) -> str:
    """A mermaid diagram of moves; the first state is where it begins, one without a move on is where it ends."""
    edges = list(moves)
    ends = list(dict.fromkeys(after for _, after in edges if after not in {before for before, _ in edges}))
    labels = {edge: f" : {word}" for edge, word in (words or {}).items()}
    lines = [f"    [*] --> {edges[0][0]}"]
    lines += [f"    {before} --> {after}{labels.get((before, after), '')}" for before, after in edges]
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


# --- markdown


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([title, NOTICE, *parts]) + "\n"


def _prose(text: str) -> str:
    return textwrap.fill(text, width=120, break_long_words=False, break_on_hyphens=False)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _grouped(number: str) -> str:
    """1048576 as 1 048 576, and 10.0 as 10."""
    whole = number.removesuffix(".0")
    return f"{int(whole):,}".replace(",", " ") if whole.isdigit() else whole


def _listed(names: Iterable[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}"


def stale() -> Iterator[str]:
    """The pages that are not as they would be written now."""
    for name, page in PAGES.items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != page():
            yield name


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` only look at them; returns the exit code."""
    if "--check" in arguments:
        names = list(stale())
        for name in names:
            print(f"docs/{name} is not current: run python scripts/generate_docs.py")
        return 1 if names else 0
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
