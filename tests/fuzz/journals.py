"""Journals that were changed as nobody should, and everybody who reads one: the commands that look back, and the next
launcher.

The journal that is changed is always the same: a run that ended in good order, with a hole and states in it, and one
that died with a saga open. Its write-ahead log is as a killed launcher leaves it: not moved into the file.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import logging
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Raw

from quarterdeck.core.state import Rules
from quarterdeck.core.step import HostChecked
from quarterdeck.errors import JournalDamaged, JournalError
from quarterdeck.log import chain as chains
from quarterdeck.log.journal import Journal, Kept, Retention
from quarterdeck.log.reader import JournalReader
from quarterdeck.schema import commands as c
from quarterdeck.server import causes, crashes, history, portable, replay, saga_log, selection
from quarterdeck.server.epilogue import close_last_run
from quarterdeck.server.runs import Head
from quarterdeck.ui import cli, looking_back, tables
from quarterdeck.ui.commands import diff, events, export, last_crash, sagas, state, why
from quarterdeck.ui.commands import replay as replaying
from quarterdeck.wire.codec import encode_value
from tests.server.past import BEGAN_MS, HOST, Past

READ_FOR_THE_FUZZER: Final = (
    causes, crashes, history, portable, replay, saga_log, selection, looking_back, tables, diff, events, export,
    last_crash, sagas, state, why, replaying,
)  # fmt: skip
"""Imported here, while the fuzzer looks: the commands would import them later."""

NAME: Final = "journal.sqlite3"
COLUMNS: Final = (
    "runs.run_id", "runs.first_step", "runs.began_ms", "runs.head",
    "steps.step", "steps.run", "steps.version", "steps.at_ms", "steps.input", "steps.events",
    "checkpoints.step", "checkpoints.run", "checkpoints.inputs", "checkpoints.version", "checkpoints.state",
    "holes.step", "holes.run", "holes.first_version", "holes.last_version", "holes.inputs", "holes.at_ms", "holes.why",
)  # fmt: skip
LOOKS: Final = (
    ("events",),
    ("events", "--json", "--pid", str(HOST)),
    ("events", "--limit", "4", "--label", "main", "--since", "2030-03-17T17:46:40Z"),
    ("events", "--json", "--kind", "*_o*"),
    ("state", "--at", "3"),
    ("state", "--run", "00000001"),
    ("diff", "2030-03-17T17:46:40.200Z", "7"),
    ("why", "11"),
    ("why", "15", "--run", "00000001", "--json"),
    ("sagas", "--all"),
    ("last-crash",),
    ("last-crash", "--json"),
    ("replay",),
    ("export",),
)
"""Everybody who reads a journal and does not write it."""
NEXT_RUN: Final = "99999999-0000-4000-8000-000000000000"


class Files(NamedTuple):
    """What is on the disk."""

    database: bytes
    wal: bytes


@functools.cache
def sound() -> Files:
    """The journal before it is changed, as its launcher left it when it was killed."""
    with tempfile.TemporaryDirectory() as folder:
        past = Past(Path(folder))
        _first_run(past)
        past.at(2_000).begin()
        past.register()
        past.open("main")
        past.feed(c.ReportPoolWindowAdded(label="spare"))
        past.hwnd(7, "main")
        past.feed(c.ReportWindowClosed(label="main"))
        files = read(past.path)
        past.close()
    return files


def _first_run(past: Past) -> None:
    past.at(100).register()
    past.register(202, "tool", "hammer")
    past.open("main")
    past.feed(c.Publish(topic="news", payload=Raw(b'{"n":[1,"x"]}')), 202)
    past.feed(c.ReportStatus(status=Raw(b'{"busy":true}')), 202)  # type: ignore[arg-type]  # as it comes to the rules
    past.checkpoint()
    past.at(300).lose(c.ReportHostCounts(windows=1, pool=0), c.ReportWindowClosed(label="main"))
    past.open("other")
    past.hwnd(5)
    past.at(1_000).feed(HostChecked(HOST, "hung"), None, "launcher")
    past.tick()
    past.vanish(202)
    past.end()


def read(path: Path) -> Files:
    """The files of a journal, empty where they are not there."""
    wal = path.with_name(path.name + "-wal")
    return Files(*(file.read_bytes() if file.exists() else b"" for file in (path, wal)))


def exported() -> Iterator[bytes]:
    """Small journals as lines: with a run, a step, a hole and a state."""
    with tempfile.TemporaryDirectory() as folder:
        for name, live in {"empty": (), "one": (Past.register,), "lost": (_lost, Past.checkpoint)}.items():
            Path(folder, name).mkdir()
            past = Past(Path(folder, name))
            for each in live:
                each(past)
            past.close()
            lines: list[bytes] = []
            portable.export_journal(past.path, lines.append)
            yield b"".join(lines)


def _lost(past: Past) -> None:
    past.lose(c.ReportHostCounts(windows=0, pool=0))


# --- changes


def with_rows_changed(lines: bytes) -> Files:
    """The journal with its rows changed, a line a change: a column, a row's number, and the value. That may be `#1`,
    `%1.5`, `~` for nothing, `'` and a text, `OLD=>NEW` for a part of what is there, or else bytes. A newline is `\\n`.
    Checksums are those of what is there then, so that it is the values which must not be trusted.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = write(sound(), Path(folder))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            for line in lines.split(b"\n"):
                with contextlib.suppress(sqlite3.Error, ValueError, OverflowError):  # no value of this column
                    _change_row(connection, line)
            _seal(connection)
            connection.execute("COMMIT")
        return read(path)


def _change_row(connection: sqlite3.Connection, line: bytes) -> None:
    name, number, value = line.replace(b"\\n", b"\n").split(b" ", 2)
    table, column = COLUMNS[[each.encode() for each in COLUMNS].index(name)].split(".")
    found = connection.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()
    rowid, before = found[int(number) % len(found)]
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_value(value, before), rowid))


def _value(text: bytes, before: Any) -> Any:
    match text[:1]:
        case b"#":
            return int(text[1:])
        case b"%":
            return float(text[1:])
        case b"~":
            return None
        case b"'":
            return text[1:].decode("utf-8", "replace")
    old, is_part, new = text.partition(b"=>")
    return before.replace(old, new, 1) if is_part and isinstance(before, bytes) else text


def _seal(connection: sqlite3.Connection) -> None:
    """Let every checksum be right that rows of proper types have."""
    begun = {row[1]: row for row in _proper(connection, "run_id, first_step, began_ms, head, format", "runs", "siibi")}
    holes = {
        row[:2]: row[2:]
        for row in _proper(connection, "run, step, first_version, last_version, inputs, at_ms, why", "holes", "iiiiiis")
    }
    settings = {row[:2]: row[2:] for row in _proper(connection, "run, step, at_ms, by_ms", "settings", "iiii")}
    chain, format = 0, chains.FORMAT
    for run, *row in _proper(connection, "run, step, version, at_ms, input, events", "steps", "iiiibb"):
        if row[0] in begun:
            *_, format = begun[row[0]]
            chain = chains.begun(format, *begun[row[0]][:4])
        between = (run, row[0] - 1)
        if between in holes:
            chain = chains.past_hole(format, chain, *holes[between])
        if between in settings:
            chain = chains.past_setting(format, chain, *settings[between])
        chain = chains.chained(format, chain, *row)
        connection.execute("UPDATE steps SET chain = ? WHERE step = ?", (chain, row[0]))
    for rowid, kept in connection.execute("SELECT rowid, state FROM checkpoints").fetchall():
        if isinstance(kept, bytes):
            digest = hashlib.sha256(kept).hexdigest()
            connection.execute("UPDATE checkpoints SET hash = ? WHERE rowid = ?", (digest, rowid))


def _proper(connection: sqlite3.Connection, columns: str, table: str, types: str) -> list[Any]:
    """The rows that hold what the table says, in order."""
    wanted = tuple({"i": int, "s": str, "b": bytes}[each] for each in types)
    rows = connection.execute(
        f"SELECT {columns} FROM {table} ORDER BY {'first_step' if table == 'runs' else 'step'}"
    ).fetchall()
    return [row for row in rows if tuple(map(type, row)) == wanted]


def with_bytes_changed(lines: bytes) -> Files:
    """The journal with its files changed, a line a change: `db` or `wal`, a place, and the bytes that stand there then;
    or `cut` in front, and the place where the file ends.
    """
    files = {b"db": bytearray(sound().database), b"wal": bytearray(sound().wal)}
    for line in lines.split(b"\n"):
        is_cut = line.startswith(b"cut ")
        name, _, rest = line.removeprefix(b"cut ").partition(b" ")
        place, _, value = rest.partition(b" ")
        file = files.get(name)
        if not file or not place.isdigit():
            continue
        at = int(place[:9]) % len(file)
        if is_cut:
            del file[at:]
        else:
            file[at : at + len(value)] = value
    return Files(bytes(files[b"db"]), bytes(files[b"wal"]))


def write(files: Files, folder: Path) -> Path:
    """Put a journal into a folder."""
    path = folder / NAME
    path.write_bytes(files.database)
    if files.wal:
        path.with_name(path.name + "-wal").write_bytes(files.wal)
    return path


# --- whoever reads


def look(files: Files) -> None:
    """Whoever looks back is shown something or told in a line what is wrong, and leaves the files as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(files, Path(folder))
        for words in LOOKS:
            where = [str(path)] if words[0] == "replay" else ["--journal", str(path)]
            code, said = called([*words, *where])
            assert code in (0, 1, 2), (words, code)
            assert (code == 0) == (said == "") or words[0] == "replay", (words, code, said)
            assert all(line.startswith("quarterdeck: ") for line in said.splitlines()), said
            assert code != 1 or words[0] == "replay" or NAME in said, said
            assert read(path) == files, words


def called(words: Sequence[str]) -> tuple[int, str]:
    """Run a command; returns its exit code and its complaints."""
    complaints = io.StringIO()
    with io.TextIOWrapper(io.BytesIO(), "utf-8") as shown, redirect_stdout(shown), redirect_stderr(complaints):
        return cli.main(words), complaints.getvalue()


def go_on(files: Files) -> None:
    """The next launcher goes on with it, or sets it aside, or says in a line why it can do neither; what could be read
    of it before can be read afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = write(files, Path(folder))
        before = _readable(path)
        with _log_lines() as lines:
            refusal = _begin(path)
            crashes.report(path, NEXT_RUN)
        said = [line.getMessage() for line in lines] + [refusal or NAME]
        assert NAME in said[-1]
        assert refusal is None or read(path) == files, said
        assert not any(line.exc_info for line in lines), said
        assert not any("\n" in line for line in said), said
        assert before <= set().union(*map(_readable, Path(folder).iterdir())), said


def bring_in(lines: bytes) -> None:
    """Who imports has a journal that whoever looks back can read, or is told the line; then nothing is left of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, NAME)
        try:
            end = portable.import_journal(io.BytesIO(lines), path)
        except JournalDamaged as error:
            assert_names_line(error)
            assert not list(path.parent.iterdir())
            return
        exported: list[bytes] = []
        assert portable.export_journal(path, exported.append) == end
        again = path.with_name("again")
        portable.import_journal(io.BytesIO(b"".join(exported)), again)
        look(read(path))


def assert_names_line(error: JournalDamaged) -> None:
    """It says which line is wrong."""
    assert re.match(r"line \d+: |the last line is missing", str(error))


def _begin(path: Path) -> str | None:
    """What a launcher does with a journal before it serves, and its first step; why it cannot."""
    try:
        with closing(Journal.open(path, "normal", Retention(1 << 30, 1 << 50), lambda: "now")) as journal:
            close_last_run(journal)
            head = Head(NEXT_RUN, "1.2.3", 4_000_009, Rules())
            journal.begin_run(NEXT_RUN, encode_value(head), BEGAN_MS + 10_000)
            journal.append([Kept(0, BEGAN_MS + 10_000, b"{}", b"", 0)])
    except JournalError as error:
        return str(error)
    return None


def _readable(path: Path) -> set[tuple[Any, ...]]:
    """The steps that a reader gets."""
    found: set[tuple[Any, ...]] = set()
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(JournalError):
        copy = Path(folder, NAME)
        for suffix in ("", "-wal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        with closing(JournalReader(copy)) as reader:
            for run in reader.runs():
                with contextlib.suppress(JournalError):
                    found.update((run.run_id, *row) for row in reader.steps(run))
    return found


@contextlib.contextmanager
def _log_lines() -> Iterator[list[logging.LogRecord]]:
    lines: list[logging.LogRecord] = []
    collector = logging.Handler(logging.INFO)
    collector.emit = lines.append  # type: ignore[assignment,method-assign]  # all that it is to do
    log = logging.getLogger("quarterdeck")
    log.addHandler(collector)
    try:
        yield lines
    finally:
        log.removeHandler(collector)
