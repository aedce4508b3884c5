"""Write the typed methods of both clients from the schema: one a command, but for register and goodbye.

    python scripts/generate_client.py            write them
    python scripts/generate_client.py --check    only say whether they are current (exit code 1 if not)

A test does the latter. A member that must be given is a positional parameter, an optional one goes by its name; the
docstring is the command's own. A command whose client method has a rule of its own has its row in SPECIAL.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from quarterdeck.schema import commands as c
from quarterdeck.schema import types as t

FOLDER: Final = Path(__file__).parent.parent / "src" / "quarterdeck" / "client"
LINE_MAX: Final = 120
LEFT_OUT: Final = (c.Register, c.Goodbye)
REPLIES: Final[dict[type, str]] = {c.GetSnapshot: "Snapshot", c.GetMetrics: "Metrics"}
NAMED: Final = {getattr(t, name): name for name in ("QuitReason", "StageStatus", "WindowKind", "Slow", "ProcessKind")}

HEAD: Final = '''"""The typed methods of the {front} client, one a command. Written by scripts/generate_client.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from quarterdeck.schema import commands as c
from quarterdeck.schema.replies import Ack, EventList, Metrics, Pong, Snapshot, Subscribed

if TYPE_CHECKING:
    from quarterdeck.client.cursor import Cursor
    from quarterdeck.client.session import Session
    from quarterdeck.schema.types import {types}

R = TypeVar("R")


class {name}(ABC):
    """What can be asked of the launcher.

    Every method raises CommandRefused where the launcher refuses, Timeout, ConnectionLost where the connection ended
    before the answer came, and LocalProtocolError where the command cannot be sent.
    """

    _session: Session

    @abstractmethod
    {prefix}def _ask(self, command: c.Command, kind: type[R]) -> R:
        """Ask, and wait for the reply."""
'''


class Method(NamedTuple):
    """A method to be written: its parameters as texts, the expression that makes the command, the type of the reply."""

    name: str
    doc: str
    parameters: tuple[str, ...]
    command: str
    reply: str


class Front(NamedTuple):
    """One of the two files."""

    file: str
    name: str
    front: str
    prefix: str
    wait: str


FRONTS: Final = (
    Front("aio_commands.py", "AsyncCommands", "async", "async ", "await "),
    Front("blocking_commands.py", "BlockingCommands", "blocking", "", ""),
)

SPECIAL: Final[dict[type, Method]] = {
    c.Ping: Method(
        "ping",
        "Ask for a `pong`, which also says: you have seen everything up to its version; by default picks a nonce.",
        ("nonce: int | None = None",),
        "self._session.ping(nonce)",
        "Pong",
    ),
    c.GetEvents: Method(
        "get_events",
        "Ask for the stream events after `since`, a cursor or a version of `run_id` (this run).",
        ("since: Cursor | int", "*", "run_id: str | None = None", "limit: int | None = None"),
        "self._session.get_events(since, run_id, limit)",
        "EventList",
    ),
    c.Subscribe: Method(
        "subscribe",
        "Replace the subscription by these names or patterns (none: all), from now or after `since`.",
        (
            "*events: str",
            "since: Cursor | int | None = None",
            "slow: Slow | None = None",
            "snapshot: bool | None = None",
        ),
        "self._session.subscribe(events, since, slow, snapshot)",
        "Subscribed",
    ),
}


def main(arguments: list[str]) -> int:
    """Write or check the files."""
    stale = [path.name for path, text in rendered() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        print("\n".join(f"{name} is not current: run scripts/generate_client.py" for name in stale))
        return 1 if stale else 0
    for path, text in rendered():
        path.write_text(text)
    return 0


def rendered() -> Iterator[tuple[Path, str]]:
    """Each file and what it should hold."""
    methods = [_method(command) for command in c.COMMAND_TYPES if command not in LEFT_OUT]
    for front in FRONTS:
        body = "\n".join(_render(method, front) for method in methods)
        types = ", ".join(sorted(name for name in (*NAMED.values(), "Rect") if _uses(body, name)))
        yield FOLDER / front.file, HEAD.format(**front._asdict(), types=types) + "\n" + body


def _uses(body: str, name: str) -> bool:
    return any(f"{before}{name}{after}" in body for before in " [" for after in ",]) ")


def _method(command: type[msgspec.Struct]) -> Method:
    if command in SPECIAL:
        return SPECIAL[command]
    hints = get_type_hints(command)
    required, optional, arguments = [], [], []
    for field in msgspec.structs.fields(command):
        if field.name == "id":
            continue
        hint, argument = _spell(hints[field.name], field.name)
        arguments.append(f"{field.name}={argument}")
        if field.required:
            required.append(f"{field.name}: {hint}")
        else:
            optional.append(f"{field.name}: {hint} = None")
    parameters = (*required, *(("*", *optional) if optional else ()))
    name = str(command.__struct_config__.tag)
    made = f"c.{command.__name__}({', '.join(arguments)})"
    return Method(name, _sentence(command), parameters, made, REPLIES.get(command, "Ack"))


def _sentence(command: type) -> str:
    """The docstring's sentence, without what is said of the launcher's own side."""
    first = (command.__doc__ or "").strip().split("\n")[0]
    return first.split("; in the launcher")[0].rstrip(".") + "."


def _spell(hint: Any, name: str) -> tuple[str, str]:
    """A type as the parameter's text, and the argument that passes it on."""
    if get_origin(hint) is tuple:
        return f"Sequence[{_spell(get_args(hint)[0], name)[0]}]", f"tuple({name})"
    if get_origin(hint) is Literal:
        return NAMED[hint], name
    if get_origin(hint) is dict:
        return "dict[str, Any]", name
    if hint is Any:
        return "Any", name
    if hint is type(None):
        return "None", name
    if isinstance(hint, type):
        return hint.__name__, name
    return " | ".join(_spell(part, name)[0] for part in get_args(hint)), name


def _render(method: Method, front: Front) -> str:
    return "\n".join(
        (
            _wrap(f"    {front.prefix}def {method.name}(", ("self", *method.parameters), f") -> {method.reply}:"),
            f'        """{method.doc}"""',
            _wrap(f"        return {front.wait}self._ask(", (method.command, method.reply), ")"),
            "",
        )
    )


def _wrap(head: str, parts: tuple[str, ...], tail: str) -> str:
    """A call or signature on one line if it fits, else its parts on one line, else a line each, as ruff formats."""
    whole = f"{head}{', '.join(parts)}{tail}"
    if len(whole) <= LINE_MAX:
        return whole
    indent = " " * (len(head) - len(head.lstrip()))
    inner = f"{indent}    {', '.join(parts)}"
    if len(inner) > LINE_MAX:
        inner = "\n".join(f"{indent}    {part}," for part in parts)
    return f"{head}\n{inner}\n{indent}{tail}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
