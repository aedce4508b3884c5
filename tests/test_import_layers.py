"""Who may import whom: the table of the architecture as data, and every import of the sources held against it.

Imports are read from the syntax tree, so one inside a function, under TYPE_CHECKING, relative, or asked of
`importlib.import_module` by a fixed name counts like any other. A breach names its line, its layer and what is allowed.

A name is dotted: `core.step` is ours, without the leading `quarterdeck.`; `msgspec.json` is a library's. An entry
covers what is below it. Where an allowed and a refused entry both cover a name, the longer one decides; a tie refuses.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent / "src" / "quarterdeck"
PACKAGE = "quarterdeck"

# Numbers like errors: whoever names the release reads it there.
EVERYBODY = frozenset({"version"})


@dataclass(frozen=True)
class Layer:
    """One row: what of ours, which libraries, what of the standard library (None: all), and what never."""

    ours: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    stdlib: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()  # ours, but only inside a function: it would cost every start
    siblings: bool = True  # whether the files of the layer may import one another

    def described(self) -> str:
        """Say what the layer allows, in one line."""
        parts = [f"ours: {_listed(self.ours | EVERYBODY)}", f"libraries: {_listed(self.libraries)}"]
        if self.lazily:
            parts.append(f"inside functions also: {_listed(self.lazily)}")
        if self.stdlib is not None:
            parts.append("standard library: only what has no I/O, clock, entropy or logging (PURE)")
        if self.never:
            parts.append(f"never: {_listed(self.never)}")
        if not self.siblings:
            parts.append("never one another")
        return "; ".join(parts)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What the machine may use of the standard library: nothing that reads a clock, draws a number, does I/O or logs.
# `datetime` is not here: its classes bring now() along. Text of a time comes in with the input.
PURE = _names(
    "__future__ abc bisect collections contextlib copy dataclasses enum fnmatch fractions functools graphlib heapq "
    "itertools math operator re string types typing"
)

# One place for JSON, so that there is one place for its limits and its errors.
NO_JSON = _names("msgspec.json")

LAYERS = {
    "__init__": Layer(_names("client config core errors schema slices")),
    "__main__": Layer(_names("ui.cli errors")),
    "version": Layer(stdlib=_names("__future__")),
    "errors": Layer(),
    "schema": Layer(_names("errors"), _names("msgspec"), never=NO_JSON),
    "config": Layer(_names("errors schema"), _names("msgspec platformdirs"), never=NO_JSON),
    "deckfile": Layer(_names("errors schema config"), _names("msgspec"), never=NO_JSON),
    # What an application derives from, and what is checked of it: pure, and known to the launcher and to clients.
    "slices": Layer(_names("errors schema"), _names("msgspec"), PURE, never=NO_JSON),
    "core": Layer(_names("schema errors slices"), _names("msgspec"), PURE, never=NO_JSON),
    "wire": Layer(_names("schema errors"), _names("msgspec"), never=NO_JSON | _names("asyncio socket")),
    "log": Layer(_names("errors")),
    "transport": Layer(_names("errors config"), _names("platformdirs psutil uvloop")),
    "drivers": Layer(_names("core.step schema errors"), _names("msgspec psutil xcffib"), never=NO_JSON, siblings=False),
    # Where nobody listens, the error names the launcher that a command would have found.
    "client": Layer(
        _names("schema wire transport errors slices core.mirror"),
        _names("msgspec psutil uvloop"),
        never=NO_JSON,
        lazily=_names("deckfile.finding"),
    ),
    "server": Layer(
        _names("errors schema config deckfile slices core wire log transport drivers"),
        _names("msgspec platformdirs prometheus_client psutil uvloop"),
        never=NO_JSON,
    ),
    # All the real parts in one process, put together anew around a virtual clock; nothing imports it but its command.
    "sim": Layer(
        _names("errors schema config core wire log transport server client"), _names("msgspec"), never=NO_JSON
    ),
    # A judge who shares the code of the one he judges finds nothing: neither client nor server nor wire; lines are
    # read with the standard library's json. `transport` is how any client gets there. What a launcher would answer to a
    # client under check, and what its stream folds to, is the core's: that is what the protocol means.
    "conformance": Layer(_names("schema transport errors core"), _names("msgspec"), never=NO_JSON),
    "ui": Layer(
        _names("client conformance schema errors config deckfile slices"),
        _names("click msgspec platformdirs psutil rich starlette textual uvicorn uvloop"),
    ),
    # What ships for an application's own tests: the core, played without a launcher, but by a launcher's limits.
    "testing": Layer(
        _names("schema errors config slices core wire drivers.fake"), _names("hypothesis msgspec"), never=NO_JSON
    ),
    "bridges": Layer(_names("client schema errors config"), _names("click msgspec nats uvloop")),
}


@dataclass(frozen=True)
class FileRule:
    """What a file, or each file below a folder, may do besides its layer's row, and what it may not in spite of it."""

    ours: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()


FILES = {
    "wire/codec.py": FileRule(libraries=NO_JSON),
    "schema/jsonschema.py": FileRule(libraries=_names("msgspec.json.schema msgspec.json.schema_components")),
    "client/session.py": FileRule(never=_names("asyncio socket uvloop client.aio client.blocking")),
    "client/blocking.py": FileRule(never=_names("asyncio uvloop client.aio")),
    # The command line, one file a command: it starts launchers and reads their journals, but `ping` pays for neither.
    "ui/cli.py": FileRule(lazily=_names("server.daemon server.history server.logs server.replay")),
    "ui/commands": FileRule(
        lazily=_names(
            "sim server.causes server.crashes server.daemon server.history server.logs server.portable server.replay "
            "server.runs server.saga_loading server.saga_log server.selection"
        )
    ),
    # The launcher of their own process says to them that it listens.
    **dict.fromkeys(("ui/foreground.py", "ui/single.py"), FileRule(lazily=_names("server.daemon"))),
    "ui/serving.py": FileRule(lazily=_names("server.daemon")),  # what `serve` does, with click or without
    # Where no launcher is left to ask, its children are ended as it would have ended them.
    "ui/survivors.py": FileRule(lazily=_names("server.survivors")),
    "ui/looking_back.py": FileRule(lazily=_names("server.history")),
    # Which process a pid is, the kernel is asked in one place.
    "ui/process_facts.py": FileRule(ours=_names("transport.peercred")),
    # A report of a launcher that is dead is read from its journal.
    "ui/remains.py": FileRule(lazily=_names("server.history server.runs server.selection")),
    "ui/slicing.py": FileRule(lazily=_names("server.loading")),
    # Loads of the file's slices and sagas those that the journal's runs had, as `up` would.
    "ui/at_hand.py": FileRule(lazily=_names("core.saga server.history server.saga_loading server.slicing")),
    "ui/commands/check.py": FileRule(lazily=_names("server.saga_loading server.slicing")),  # does what `up` would
}

# One driver, several files: they may import each other and what all witnesses share, but no other driver.
_X11 = FileRule(ours=_names("drivers.witness drivers.x11_display drivers.x11_looks drivers.x11_ping drivers.x11_watch"))
FILES |= dict.fromkeys(
    (
        "drivers/x11.py",
        "drivers/x11_display.py",
        "drivers/x11_looks.py",
        "drivers/x11_ping.py",
        "drivers/x11_watch.py",
    ),
    _X11,
)
# The guard, and the launcher's end of it.
_GUARD = FileRule(
    ours=_names(
        "drivers.child_output drivers.descendants drivers.guard drivers.guard_aftermath drivers.guard_child "
        "drivers.guard_door drivers.guard_limits drivers.guard_link drivers.guard_outlet drivers.guard_wire drivers.job"
        " drivers.launcher_link drivers.port_holders"
    )
)
FILES |= dict.fromkeys(
    (
        "drivers/children.py",
        "drivers/descendants.py",
        "drivers/guard.py",
        "drivers/guard_aftermath.py",
        "drivers/guard_child.py",
        "drivers/guard_link.py",
        "drivers/guard_outlet.py",
        "drivers/guard_start.py",
        "drivers/launcher_link.py",
        "drivers/port_holders.py",
        "drivers/orphans.py",
    ),
    _GUARD,
)
# The guard's place on Windows: its words, its children's logs, and the calls.
FILES["drivers/job.py"] = FileRule(
    ours=_names("drivers.child_output drivers.guard_wire drivers.job_calls drivers.job_program")
)
_WIN32 = FileRule(ours=_names("drivers.witness drivers.win32_calls"))
FILES |= dict.fromkeys(("drivers/win32.py", "drivers/win32_calls.py"), _WIN32)

# Modules that must start fast, or must be free of it: importing one leaves asyncio (25 ms) unloaded.
WITHOUT_ASYNCIO = (
    "errors",
    "version",
    "config",
    "deckfile",
    "schema",
    "core.reducer",
    "wire.codec",
    "client.session",
    "client.blocking",
)


@dataclass(frozen=True)
class Import:
    """One name that a file asks for: dotted as in the table, where, and whether only when a function runs."""

    name: str
    line: int
    lazy: bool
    ours: bool


class Reader(ast.NodeVisitor):
    """Collects what one module imports, and what it uses of `msgspec.json` by attribute."""

    def __init__(self, module: str, is_package: bool) -> None:
        self.found: list[Import] = []
        self._parents = module.split(".") if is_package else module.split(".")[:-1]
        self._lazy = False
        self._bound: dict[str, str] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Decorators, defaults and annotations run at import; the body does not."""
        for part in [*node.decorator_list, node.args, *filter(None, [node.returns])]:
            self.visit(part)
        self._visit_lazily(node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """As for a plain function."""
        self.visit_FunctionDef(node)

    def visit_If(self, node: ast.If) -> None:
        """What stands under TYPE_CHECKING never runs: it counts, but costs no start."""
        if ast.unparse(node.test) not in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            self.generic_visit(node)
            return
        self._visit_lazily(node.body)
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b as c`: binds c to a.b, or without `as` a to a."""
        for alias in node.names:
            self._add(alias.name, node.lineno)
            top = alias.name.split(".")[0]
            self._bound[alias.asname or top] = alias.name if alias.asname else top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a import b`: b may be a module or a name in one; the table covers both as a.b."""
        above = self._parents[: len(self._parents) - node.level + 1] if node.level else []
        base = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            self._add(f"{base}.{alias.name}", node.lineno)
            self._bound[alias.asname or alias.name] = f"{base}.{alias.name}"

    def visit_Call(self, node: ast.Call) -> None:
        """`importlib.import_module("a.b")` and `__import__("a.b")` import by another way."""
        called = ast.unparse(node.func).rsplit(".", 1)[-1]
        if called in {"import_module", "__import__"} and node.args and isinstance(node.args[0], ast.Constant):
            self._add(str(node.args[0].value), node.lineno)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """`msgspec.json.encode` uses a part of msgspec that the import does not show."""
        root, _, rest = _dotted(node).partition(".")
        if self._bound.get(root, "").split(".")[0] == "msgspec":
            self._add(f"{self._bound[root]}.{rest}", node.lineno)
        else:
            self.generic_visit(node)

    def _visit_lazily(self, body: list[ast.stmt]) -> None:
        outer, self._lazy = self._lazy, True
        for statement in body:
            self.visit(statement)
        self._lazy = outer

    def _add(self, name: str, line: int) -> None:
        top, _, rest = name.partition(".")
        ours = top == PACKAGE
        self.found.append(Import(rest if ours else name, line, self._lazy, ours))


def breaches(path: str, source: str) -> list[str]:
    """Return a line for each import that the table refuses to `path`, a file below the package, holding `source`."""
    parts = Path(path).with_suffix("").parts
    layer = parts[0]
    if layer not in LAYERS:
        return [f"{path}:1: {layer} has no row in the table of layers"]
    rule = _rule(path, layer)
    is_package = parts[-1] == "__init__"
    reader = Reader(".".join([PACKAGE, *(parts[:-1] if is_package else parts)]), is_package)
    reader.visit(ast.parse(source, path))
    return list(
        dict.fromkeys(
            f"{path}:{found.line}: {layer} imports {_full(found)}, but is allowed {rule.described()}"
            for found in reader.found
            if not _allowed(found, layer, rule)
        )
    )


def _rule(path: str, layer: str) -> Layer:
    """Return the row of the layer, with what holds for this file laid over it."""
    rule = LAYERS[layer]
    for place in [path, *map(str, PurePosixPath(path).parents)]:
        if special := FILES.get(place):
            never = (rule.never - special.libraries) | special.never
            libraries = rule.libraries | special.libraries
            ours = rule.ours | special.ours
            rule = replace(rule, ours=ours, libraries=libraries, never=never, lazily=rule.lazily | special.lazily)
    return rule


def _allowed(found: Import, layer: str, rule: Layer) -> bool:
    if found.ours:
        allowed = rule.ours | EVERYBODY
        allowed |= {layer} if rule.siblings else frozenset()
        allowed |= rule.lazily if found.lazy else frozenset()
    else:
        top = found.name.split(".")[0]
        standard = {top} & sys.stdlib_module_names if rule.stdlib is None else rule.stdlib
        allowed = rule.libraries | standard
    return _covered(found.name, allowed) > _covered(found.name, rule.never)


def _covered(name: str, entries: frozenset[str]) -> int:
    """Return the length of the longest entry that is `name` or above it; 0 without one."""
    return max((len(entry) for entry in entries if f"{name}.".startswith(f"{entry}.")), default=0)


def _full(found: Import) -> str:
    return f"{PACKAGE}.{found.name}".rstrip(".") if found.ours else found.name


def _dotted(node: ast.expr) -> str:
    """Return `a.b.c` of such an expression; of any other, of a call's result too, the empty text."""
    if isinstance(node, ast.Name):
        return node.id
    before = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before and isinstance(node, ast.Attribute) else ""


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"


SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_imports_only_what_its_layer_may(path: str) -> None:
    found = breaches(path, (ROOT / path).read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


def _exists(module: str) -> bool:
    place = ROOT.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


@pytest.mark.parametrize("module", [module for module in WITHOUT_ASYNCIO if _exists(module)])
def test_asyncio_stays_unloaded(module: str) -> None:
    program = f"import sys, {PACKAGE}.{module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert f"{PACKAGE}.{module}" in done.stdout.split()
    assert "asyncio" not in done.stdout.split()


# Each breaks the table in its own way; the test above is worth what these prove.
BREACHES = [
    ("core/pool.py", "import time", "core imports time"),
    ("core/pool.py", "import os.path as p", "core imports os.path"),
    ("core/pool.py", "from random import random", "core imports random.random"),
    ("core/pool.py", "import datetime", "core imports datetime"),
    ("core/pool.py", "import structlog", "core imports structlog"),
    ("core/pool.py", "def f() -> None:\n    import asyncio", "pool.py:2: core imports asyncio"),
    ("core/pool.py", "async def f() -> None:\n    import socket", "core imports socket"),
    ("core/pool.py", "from ..wire import lines", "core imports quarterdeck.wire.lines"),
    ("log/ring.py", "import importlib\nimportlib.import_module('quarterdeck.wire')", "log imports quarterdeck.wire,"),
    ("core/pool.py", "x = __import__('threading')", "core imports threading"),
    ("core/pool.py", "import quarterdeck", "core imports quarterdeck,"),
    ("core/__init__.py", "from ..log import ring", "core imports quarterdeck.log.ring"),
    (
        "log/ring.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from quarterdeck.schema.events import StreamEvent",
        "log/ring.py:3: log imports quarterdeck.schema.events.StreamEvent",
    ),
    ("log/ring.py", "import msgspec", "log imports msgspec"),
    ("errors.py", "from quarterdeck import schema", "errors imports quarterdeck.schema"),
    ("version.py", "import os", "version imports os"),
    ("schema/types.py", "from quarterdeck.config import Limits", "schema imports quarterdeck.config.Limits"),
    ("schema/jsonschema.py", "import msgspec\nmsgspec.json.encode(1)", "schema imports msgspec.json.encode"),
    ("schema/types.py", "import msgspec\nmsgspec.json.schema(int)", "schema imports msgspec.json.schema"),
    ("wire/lines.py", "import asyncio.streams", "wire imports asyncio.streams"),
    ("wire/lines.py", "from socket import AF_UNIX", "wire imports socket.AF_UNIX"),
    ("wire/lines.py", "from msgspec import json", "wire imports msgspec.json"),
    (
        "wire/connection.py",
        "import msgspec as m\nm.json.Decoder(int).decode(b'1')",
        "wire imports msgspec.json.Decoder",
    ),
    (
        "server/peer.py",
        "import msgspec\nmsgspec.convert(msgspec.json.decode(b'1')).x",
        "server imports msgspec.json.decode",
    ),
    ("server/peer.py", "from quarterdeck.client import aio", "server imports quarterdeck.client.aio"),
    ("server/daemon.py", "import click", "server imports click"),
    (
        "transport/unix.py",
        "from quarterdeck.wire.codec import encode",
        "transport imports quarterdeck.wire.codec.encode",
    ),
    (
        "drivers/x11.py",
        "from quarterdeck.core.reducer import reduce",
        "drivers imports quarterdeck.core.reducer.reduce",
    ),
    ("drivers/x11.py", "from .fake import Clock", "drivers imports quarterdeck.drivers.fake.Clock"),
    ("client/aio.py", "from quarterdeck.core import state", "client imports quarterdeck.core.state"),
    ("client/aio.py", "from quarterdeck.core import mirrors", "client imports quarterdeck.core.mirrors"),
    ("client/blocking.py", "def f() -> None:\n    import asyncio", "client imports asyncio"),
    ("client/blocking.py", "from .aio import Client", "client imports quarterdeck.client.aio.Client"),
    ("ui/cli.py", "from quarterdeck.server.daemon import serve", "ui imports quarterdeck.server.daemon.serve"),
    (
        "ui/cli.py",
        "def f(x=__import__('quarterdeck.server.daemon')) -> None: ...",
        "ui imports quarterdeck.server.daemon",
    ),
    (
        "ui/cli.py",
        "def f() -> None:\n    from quarterdeck.server import engine",
        "ui imports quarterdeck.server.engine",
    ),
    ("ui/tui.py", "def f() -> None: import quarterdeck.server.daemon", "ui imports quarterdeck.server.daemon"),
    ("ui/commands/serve.py", "from quarterdeck.server import daemon", "ui imports quarterdeck.server.daemon"),
    ("ui/web/app.py", "from ...bridges import nats", "ui imports quarterdeck.bridges.nats"),
    ("bridges/nats.py", "from quarterdeck.ui.cli import main", "bridges imports quarterdeck.ui.cli.main"),
    ("utils/text.py", "", "utils has no row"),
]


@pytest.mark.parametrize(("path", "source", "said"), BREACHES)
def test_a_breach_is_reported(path: str, source: str, said: str) -> None:
    found = breaches(path, source)
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith(f"{path}:")


KEPT = [
    ("core/pool.py", "from quarterdeck.schema import events\nfrom . import state\nfrom collections.abc import Mapping"),
    ("core/pool.py", "import msgspec\nfrom quarterdeck.version import __version__\nmsgspec.structs.replace(1)"),
    ("wire/codec.py", "import msgspec\nencode = msgspec.json.Encoder().encode"),
    ("schema/jsonschema.py", "import msgspec\nmsgspec.json.schema_components([int])"),
    ("config.py", "import msgspec\nfrom quarterdeck.schema.types import Rect\nmsgspec.toml.decode(b'')"),
    ("drivers/x11.py", "from quarterdeck.core.step import Effect\nfrom quarterdeck.core import step"),
    ("client/aio.py", "import asyncio\nfrom quarterdeck.core.mirror import Mirror\nfrom .session import Session"),
    ("server/engine.py", "import asyncio, uvloop\nfrom quarterdeck.core.reducer import reduce"),
    ("ui/cli.py", "import click\ndef f() -> None:\n    from quarterdeck.server import daemon, history, replay"),
    ("ui/commands/serve.py", "def f() -> None:\n    from quarterdeck.server import daemon"),
    ("log/journal.py", "import sqlite3\nfrom quarterdeck import errors"),
    ("__main__.py", "from quarterdeck.ui.cli import main"),
    ("core/pool.py", "json = {}\njson.msgspec.json = 1"),
]


@pytest.mark.parametrize(("path", "source"), KEPT)
def test_what_the_table_allows_is_not_reported(path: str, source: str) -> None:
    assert breaches(path, source) == []


def test_a_report_says_where_what_and_what_is_allowed() -> None:
    assert breaches("log/ring.py", "\nfrom quarterdeck.core import step") == [
        "log/ring.py:2: log imports quarterdeck.core.step, but is allowed ours: errors, version; libraries: none"
    ]
