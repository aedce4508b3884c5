"""Reading quarterdeck.toml: what it says, and every fault of it, named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.config import Config
from quarterdeck.deckfile import DeckFile, ProcessSpec, Ready, parse_deckfile, read_deckfile, start_order
from quarterdeck.deckfile.tables import DeckTable, ProcessTable, ReadyTable, keys_of
from quarterdeck.errors import ConfigError

PLAIN = '[process.web]\ncommand = "web"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that we stand in, so that errors call the file by its name alone."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder: Path, text: str) -> DeckFile:
    path = folder / "quarterdeck.toml"
    path.write_text(text, encoding="utf-8")
    return read_deckfile(path)


def only(folder: Path, text: str) -> ProcessSpec:
    (spec,) = read(folder, text).processes
    return spec


def faults(folder: Path, text: str) -> list[str]:
    """The faults, each without the file's name, which every one begins with."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert all(line.startswith("quarterdeck.toml: ") and "\n" not in line for line in caught.value.lines)
    return [line.removeprefix("quarterdeck.toml: ") for line in caught.value.lines]


def fault(folder: Path, text: str) -> str:
    (line,) = faults(folder, text)
    return line


def test_a_command_is_all_that_a_process_needs(folder: Path) -> None:
    deck = read(folder, PLAIN)
    assert deck == DeckFile(
        path=folder / "quarterdeck.toml",
        processes=(ProcessSpec(name="web", command=("web",), cwd=str(folder)),),
        data_dir=folder / ".quarterdeck",
    )
    assert (deck.config, deck.on_launcher_death, deck.exit_from, deck.warnings) == (Config(), "kill", None, ())


def test_every_key_of_a_process(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / ".env").write_text("A=file\nB='file too'\n")
    web = """
        [process.web]
        command = "python 'my web.py' --port 8000"
        kind = "host"
        cwd = "sub"
        env = { A = "table", PORT = 8000 }
        env_file = ".env"
        after = ["db"]
        ready = { port = 8000 }
        ready_timeout_s = 1.5
        restart = "always"
        backoff_s = 0.25
        backoff_max_s = 2
        stable_s = 0
        restarts_max = 0
        restarts_window_s = 60
        stop_signal = "int"
        stop_grace_s = 0
        memory_max = "1.5G"
        optional = true
        autostart = false
        log_max = "64K"
        log_files = 1
        user_data = { color = "blue", when = 2026-11-24, sizes = [1, 2.5] }
        [process.db]
        command = ["db", "--mode", "a b"]
        """
    deck = read(folder, web)
    user_data = {"color": "blue", "when": "2026-11-24", "sizes": [1, 2.5]}
    encoded = '{"color":"blue","when":"2026-11-24","sizes":[1,2.5]}'
    assert deck.processes[0] == ProcessSpec(
        name="web",
        command=("python", "my web.py", "--port", "8000"),
        cwd=str(folder / "sub"),
        kind="host",
        env={"A": "table", "B": "file too", "PORT": "8000", "QUARTERDECK_USER_DATA": encoded},
        after=("db",),
        ready=Ready("port", port=8000),
        ready_timeout_ms=1_500,
        restart="always",
        backoff_ms=250,
        backoff_max_ms=2_000,
        stable_ms=0,
        restarts_max=0,
        restarts_window_ms=60_000,
        stop_signal="SIGINT",
        stop_grace_ms=0,
        memory_max=3 * 2**29,
        optional=True,
        autostart=False,
        log_max=65_536,
        log_files=1,
        user_data=user_data,
    )
    assert deck.processes[1].command == ("db", "--mode", "a b")


def test_a_spec_is_json_and_comes_back(folder: Path) -> None:
    spec = only(folder, PLAIN + 'ready = { log = "up" }\nuser_data = { a = [1] }\nmemory_max = 1048576\n')
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ProcessSpec) == spec


def test_the_settings_of_the_launcher(folder: Path) -> None:
    head = """
        [quarterdeck]
        on_launcher_death = "adopt"
        exit_from = "web"
        data_dir = "state"
        log_level = "debug"
        limits = { connections = 7 }
        """
    deck = read(folder, head + PLAIN)
    assert (deck.on_launcher_death, deck.exit_from, deck.data_dir) == ("adopt", "web", folder / "state")
    assert deck.config == Config.from_settings(["log_level=debug", "connections=7"])


@pytest.mark.parametrize(
    ("written", "ready"),
    [
        ('"registered"', Ready("registered")),
        ('"running"', Ready("running")),
        ("{ port = 1 }", Ready("port", port=1)),
        ("{ log = 'up \\d+' }", Ready("log", log="up \\d+")),
        ("{ exec = 'pg_isready -q' }", Ready("exec", exec=("pg_isready", "-q"))),
        ("{ exec = ['true'] }", Ready("exec", exec=("true",))),
    ],
)
def test_what_shows_that_it_is_ready(folder: Path, written: str, ready: Ready) -> None:
    assert only(folder, f"{PLAIN}ready = {written}\n").ready == ready


def test_replicas_are_processes_and_who_comes_after_waits_for_all(folder: Path) -> None:
    text = '[process.api]\ncommand = "a"\nafter = ["w", "web"]\n[process.w]\ncommand = "w"\nreplicas = 3\n' + PLAIN
    deck = read(folder, text)
    assert [spec.name for spec in deck.processes] == ["api", "w-1", "w-2", "w-3", "web"]
    assert deck.processes[0].after == ("w-1", "w-2", "w-3", "web")
    assert [spec.name for spec in start_order(deck.processes)] == ["w-1", "w-2", "w-3", "web", "api"]


def test_one_replica_may_be_named(folder: Path) -> None:
    text = PLAIN + 'after = ["w-2"]\n[process.w]\ncommand = "w"\nreplicas = 2\n[quarterdeck]\nexit_from = "w-1"\n'
    deck = read(folder, text)
    assert deck.processes[0].after == ("w-2",)
    assert deck.exit_from == "w-1"


def test_exit_from_host_is_the_one_of_that_kind(folder: Path) -> None:
    assert read(folder, '[quarterdeck]\nexit_from = "host"\n' + PLAIN + 'kind = "host"\n').exit_from == "web"
    assert fault(folder, '[quarterdeck]\nexit_from = "host"\n' + PLAIN) == (
        "quarterdeck.exit_from: expected one process of kind host, found none"
    )


def test_a_file_with_a_mark_and_windows_line_ends_is_read(folder: Path) -> None:
    path = folder / "quarterdeck.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode())
    assert read_deckfile(path).processes[0].name == "web"


# --- faults

WRONG = [
    ("comand = 'x'", "process.web.comand: no such key; did you mean command?"),
    ("Kind = 'host'", "process.web.Kind: no such key; did you mean kind?"),
    ("kind = 'hst'", 'process.web.kind: expected one of host, renderer, srv, tool, found "hst"'),
    ("restart = true", "process.web.restart: expected one of always, never, on-failure, found true"),
    ("env = { A = true }", "process.web.env.A: expected a text or an integer, found true"),
    ("env = 'A=1'", 'process.web.env: expected a table, found "A=1"'),
    ("env = { 'A=B' = '' }", "a variable's name is not empty"),
    ('env = { A = "\\u0000" }', "NUL character"),
    ("env = { QUARTERDECK_CHILD = 'x' }", "process.web.env.QUARTERDECK_CHILD: the launcher itself gives this variable"),
    ("env = { QUARTERDECK_USER_DATA = 'x' }", "write user_data instead"),
    ("cwd = 'nowhere'", "process.web.cwd: expected a folder, found nothing such at "),
    ('cwd = "a\\u0000b"', "process.web.cwd: expected a path, found"),
    ("env_file = 'none'", "process.web.env_file: expected a file, found nothing at "),
    ("env_file = '.'", "process.web.env_file: cannot read "),
    ("after = ['web2']", 'process.web.after[0]: no process is called "web2"; did you mean web?'),
    ("after = [1]", "process.web.after[0]: expected a text, found 1"),
    ("after = 'db'", 'process.web.after: expected a list of texts, found "db"'),
    ("after = ['web']", "process.web.after: a cycle, of which none could start: web -> web"),
    (
        "ready = 'port'",
        'process.web.ready: expected one of registered, running or a table of port, log, exec, found "port',
    ),
    ("ready = { prt = 1 }", "process.web.ready.prt: no such key; did you mean port?"),
    ("ready = {}", "process.web.ready: expected exactly one of port, log, exec; found none"),
    (
        "ready = { port = 1, log = 'x' }",
        "process.web.ready: expected exactly one of port, log, exec; found port and log",
    ),
    ("ready = { port = 0 }", "process.web.ready.port: expected an integer of at least 1 and at most 65535, found 0"),
    ("ready = { log = '(' }", 'process.web.ready.log: expected a regular expression, found "(": missing )'),
    ("ready = { exec = [''] }", "process.web.ready.exec: the first word, the program, is empty"),
    ("ready_timeout_s = '5'", 'process.web.ready_timeout_s: expected a number above 0 and at most 31536000, found "5"'),
    ("ready_timeout_s = 0", "process.web.ready_timeout_s: expected a number above 0 and at most 31536000, found 0"),
    ("ready_timeout_s = nan", "process.web.ready_timeout_s: expected a number above 0 and at most 31536000, found nan"),
    ("stop_grace_s = inf", "process.web.stop_grace_s: expected a number of at least 0 and at most 31536000, found inf"),
    ("backoff_s = 60", "process.web.backoff_max_s: expected at least backoff_s, 60, found 30"),
    ("restarts_max = -1", "process.web.restarts_max: expected an integer of at least 0"),
    ("stop_signal = 'SIGTRM'", "process.web.stop_signal: expected one of SIGTERM, SIGINT, "),
    ("stop_signal = 15", "process.web.stop_signal: expected a text, found 15"),
    ("replicas = 0", "process.web.replicas: expected an integer of at least 1 and at most 256, found 0"),
    ("memory_max = '512Q'", 'process.web.memory_max: expected an integer of at least 1 or a size as "512M" or "1.5G"'),
    ("memory_max = 512", "process.web.memory_max: expected at least 1M (a number alone is bytes"),
    ("memory_max = '9999999999999999T'", "process.web.memory_max: expected at least 1M"),
    ("log_max = 5", "process.web.log_max: expected at least 1K"),
    ("optional = 1", "process.web.optional: expected true or false, found 1"),
    ("user_data = { a = nan }", "process.web.user_data.a: expected what JSON can say, found nan"),
    ("user_data = { a = [99999999999999999999] }", "process.web.user_data.a[0]: expected an integer of 64 bits"),
    ("user_data.a" + ".a" * 5_000 + " = 1", "process.web.user_data: tables are nested too deeply"),
    (f"user_data = {{ a = '{'x' * 70_000}' }}", "process.web.user_data: expected at most 65536 bytes as JSON"),
]


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[line[:40] for line, _ in WRONG])
def test_a_wrong_key_is_named_with_what_was_expected(folder: Path, line: str, said: str) -> None:
    assert said in fault(folder, PLAIN + line + "\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("''", 'expected a text that is not empty or a list of texts, found ""'),
        ("'  '", 'expected a command, found "  ": there is no program in it'),
        ("[]", "found an empty list"),
        ("['']", "the first word, the program, is empty"),
        ("['a', 1]", "process.web.command[1]: expected a text, found 1"),
        ("7", "expected a text that is not empty or a list of texts, found 7"),
        ('"a \'b"', "a quote is not closed"),
        ("'a \\'", "it ends in a backslash"),
        ('"a \\u0000"', "NUL character"),
        ("'FOO=1 web'", "FOO=1 is no program; variables belong in env"),
    ],
)
def test_a_wrong_command_is_named(folder: Path, command: str, said: str) -> None:
    line = fault(folder, f"[process.web]\ncommand = {command}\n")
    assert line.startswith("process.web.command")
    assert said in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "process: expected at least one table [process.NAME], found an empty table"),
        ("process = 3", "process: expected at least one table [process.NAME], found 3"),
        ("process.web = 'x'", 'process.web: expected a table [process.NAME], found "x"'),
        ("[process.web]\n", "process.web.command: missing; expected a text that is not empty or a list of texts"),
        (PLAIN + "[processes.x]\n", "processes: no such table; did you mean process?"),
        ("quarterdeck = 1\n" + PLAIN, "quarterdeck: expected a table, found 1"),
        (
            "[quarterdeck]\nexit_from = 'wb'\n" + PLAIN,
            'quarterdeck.exit_from: no process is called "wb"; did you mean web?',
        ),
        ("[quarterdeck]\npid_check = 'no'\n" + PLAIN, 'quarterdeck.pid_check: expected one of off, on, found "no"'),
        (
            "[quarterdeck]\nroles = 'proven'\npid_check = 'off'\n" + PLAIN,
            "quarterdeck: roles=proven needs pid_check=on",
        ),
        (
            "[quarterdeck.limits]\nconnections = 0\n" + PLAIN,
            "quarterdeck.limits.connections: expected an integer of at least 1",
        ),
        (
            "[quarterdeck.limits]\nconections = 9\n" + PLAIN,
            "quarterdeck.limits.conections: no such key; did you mean connections?",
        ),
        ("[quarterdeck]\nexit_from = 'web'\n" + PLAIN + "replicas = 2", "found web, of which there are web-1, web-2"),
        ("[process.'a b']\ncommand = 'x'\n", 'process."a b": expected a name of 1 to 64 letters'),
        (f"[process.{'a' * 64}]\ncommand = 'x'\nreplicas = 2\n", "would have a name of more than 64 characters"),
        (
            PLAIN + "replicas = 2\n[process.web-2]\ncommand = 'x'\n",
            "process.web-2: the name is taken by a replica of web",
        ),
        (
            "[process.web-2]\ncommand = 'x'\n" + PLAIN + "replicas = 2\n",
            "process.web-2: the name is taken by a replica of web",
        ),
        ("".join(f"[process.p{n}]\ncommand='x'\nreplicas=256\n" for n in range(5)), "at most 1024 processes"),
    ],
)
def test_a_wrong_file_is_told_where(folder: Path, text: str, said: str) -> None:
    assert said in fault(folder, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[process.web]\ncommand = \n", "line 2, column 11: invalid value"),
        ("a = 1\na = 2\n", "line 2, column 6: cannot overwrite a value"),
        ("[process.web]\ncommand = [", "line 2, column 12: "),
        ("[process.web\n", "line 1, column 13: "),
    ],
)
def test_a_syntax_error_has_its_line_and_column(folder: Path, text: str, said: str) -> None:
    assert fault(folder, text).startswith(said)


def test_every_fault_is_told_at_once(folder: Path) -> None:
    text = "[quarterdeck]\nspeed = 1\n[process.a]\nkind = 1\n[process.b]\ncommand = 'x'\ncwd = 'no'\nafter = ['c']\n"
    paths = [line.split(":")[0] for line in faults(folder, text)]
    assert paths == ["quarterdeck.speed", "process.a.kind", "process.a.command", "process.b.cwd", "process.b.after[0]"]


def test_every_cycle_is_written_out(folder: Path) -> None:
    after = {"a": "b", "b": "c", "c": "a", "d": "e", "e": "d", "f": "a"}
    text = "".join(f"[process.{name}]\ncommand = 'x'\nafter = ['{other}']\n" for name, other in after.items())
    assert faults(folder, text) == [
        "process.a.after: a cycle, of which none could start: a -> b -> c -> a",
        "process.d.after: a cycle, of which none could start: d -> e -> d",
    ]


def test_a_long_chain_is_no_cycle(folder: Path) -> None:
    lines = [f"[process.p{n}]\ncommand = 'x'\nafter = ['p{n + 1}']\n" for n in range(999)]
    deck = read(folder, "".join(lines) + "[process.p999]\ncommand = 'x'\n")
    assert [spec.name for spec in start_order(deck.processes)] == [f"p{n}" for n in range(999, -1, -1)]


def test_a_wrong_line_of_an_env_file_is_named(folder: Path) -> None:
    (folder / ".env").write_text("A=1\nB\n")
    line = fault(folder, PLAIN + "env_file = '.env'\n")
    assert line == f"process.web.env_file: {folder / '.env'}: line 2: expected KEY=VALUE"
    (folder / ".env").write_bytes(b"A=\xff\n")
    assert "expected UTF-8 text" in fault(folder, PLAIN + "env_file = '.env'\n")


def test_a_file_that_cannot_be_read_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file; write one: quarterdeck init -o none\.toml"):
        read_deckfile(Path("none.toml"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_deckfile(folder)
    path = folder / "quarterdeck.toml"
    path.write_bytes(b"# \n# \xff\n")
    with pytest.raises(ConfigError, match="line 2: expected UTF-8"):
        read_deckfile(path)
    path.write_bytes(b"#" * 1_048_577)
    with pytest.raises(ConfigError, match="at most 1048576 bytes"):
        read_deckfile(path)


@given(
    st.dictionaries(
        st.sampled_from([*ProcessTable.__struct_fields__, "x"]),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=9)
            | st.sampled_from(["1M", "("]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_whatever_is_written_is_read_or_told(values: dict[str, Any]) -> None:
    from quarterdeck.ui.drafting import toml

    # JSON has null, TOML has not: what is none is left out.
    lines = [f"{name} = {toml(value)}\n" for name, value in values.items() if "None" not in toml(value)]
    try:
        deck = parse_deckfile("[process.web]\n" + "".join(lines), Path("quarterdeck.toml"))
    except ConfigError:  # any other exception fails the test
        return
    assert all(os.path.isabs(spec.cwd) and spec.command for spec in deck.processes)


# --- warnings


@pytest.mark.parametrize("piece", ["&&", "|", "$HOME", "*", ">"])
def test_what_only_a_shell_would_understand_is_warned_of(folder: Path, piece: str) -> None:
    (warning,) = read(folder, f"[process.web]\ncommand = 'a {piece} b'\n").warnings
    assert warning.startswith(f"quarterdeck.toml: process.web.command: {piece} means something only to a shell")
    assert f'["sh", "-c", "a {piece} b"]' in warning


def test_two_hosts_are_warned_of_unless_only_one_starts(folder: Path) -> None:
    text = '[process.a]\ncommand = "x"\nkind = "host"\n[process.b]\ncommand = "x"\nkind = "host"\n'
    (warning,) = read(folder, text).warnings
    assert "a, b are of kind host" in warning
    assert read(folder, text + "autostart = false\n").warnings == ()


# --- the defaults


def test_the_defaults_of_the_file_and_of_a_spec_are_the_same(folder: Path) -> None:
    assert only(folder, PLAIN) == ProcessSpec(name="web", command=("web",), cwd=str(folder))


@pytest.mark.parametrize("table", [DeckTable, ProcessTable, ReadyTable])
def test_every_key_says_what_it_is(table: type[msgspec.Struct]) -> None:
    assert all(key.what and not key.what.endswith(".") for key in keys_of(table).values())


# --- slices


def test_slices_are_named_by_their_classes(folder: Path) -> None:
    deck = read(folder, PLAIN + '[slices]\ncounter = "app.counter:Counter"\njobs = "jobs:Outer.Jobs"\n')
    assert deck.slices == {"counter": "app.counter:Counter", "jobs": "jobs:Outer.Jobs"}
    assert read(folder, PLAIN).slices == {}


def test_sagas_are_a_list_of_classes_above_the_tables(folder: Path) -> None:
    assert read(folder, 'sagas = ["app.sagas:TearOff", "jobs:Outer.Saga"]\n' + PLAIN).sagas == (
        "app.sagas:TearOff",
        "jobs:Outer.Saga",
    )
    assert read(folder, PLAIN).sagas == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sagas = 7\n" + PLAIN, 'sagas: expected a list of "module:CLASS", found 7'),
        ('sagas = ["a:B", 7]\n' + PLAIN, 'sagas[1]: expected a class as "module:CLASS", found 7'),
        ('sagas = ["a.b"]\n' + PLAIN, 'sagas[0]: expected a class as "module:CLASS", found "a.b"'),
        ('sagas = ["a:B", "a:B"]\n' + PLAIN, "sagas[1]: a:B is named twice"),
        (
            PLAIN + '[slices]\nsagas = ["a:B"]\n',
            "slices.sagas: expected a class; a list, such as that of sagas, stands above the first [table]",
        ),
    ],
)
def test_what_is_no_saga_is_told_by_its_place(folder: Path, text: str, said: str) -> None:
    assert fault(folder, text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slices = 7\n" + PLAIN, 'slices: expected a table of NAME = "module:CLASS", found 7'),
        (PLAIN + "[slices]\na = 7\n", 'slices.a: expected a class as "module:CLASS", found 7'),
        (PLAIN + '[slices]\na = "a.b"\n', 'slices.a: expected a class as "module:CLASS", found "a.b"'),
        (PLAIN + '[slices]\na = "a/b:C"\n', 'slices.a: expected a class as "module:CLASS", found "a/b:C"'),
        (
            PLAIN + '[slices]\n"A-b" = "a:B"\n',
            "slices.A-b: expected a name of 1 to 32 small letters, digits and _, beginning with a letter",
        ),
    ],
)
def test_what_names_no_class_is_told(folder: Path, text: str, said: str) -> None:
    assert fault(folder, text) == said
