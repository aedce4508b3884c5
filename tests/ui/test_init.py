"""quarterdeck init: a new quarterdeck.toml, from scratch and from other launchers' files, right at once."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.deckfile import DeckFile, ProcessSpec, parse_deckfile, read_deckfile
from quarterdeck.deckfile.tables import ProcessTable
from quarterdeck.errors import ConfigError
from quarterdeck.ui.converting import convert
from quarterdeck.ui.drafting import scratch_text, toml
from tests.ui.running import COMMAND, PATIENCE_S, environ

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that we stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(folder: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "init", *args],
        cwd=folder,
        env=environ(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def converted(name: str, content: str) -> tuple[dict[str, ProcessSpec], str]:
    """The processes of a converted file, and the new file's text."""
    source = Path(name)
    source.write_text(content, encoding="utf-8")
    text = convert(source, Path("quarterdeck.toml"))
    return by_name(parse_deckfile(text, Path("quarterdeck.toml"))), text


def by_name(deck: DeckFile) -> dict[str, ProcessSpec]:
    return {spec.name: spec for spec in deck.processes}


def fault(name: str, content: str) -> str:
    with pytest.raises(ConfigError) as caught:
        converted(name, content)
    return str(caught.value)


# --- the command


def test_from_scratch_it_writes_a_file_that_is_right(folder: Path) -> None:
    done = init(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "quarterdeck.toml is written: 1 process"
    assert [spec.name for spec in read_deckfile(folder / "quarterdeck.toml").processes] == ["web"]


def test_every_comment_of_the_scratch_file_holds(folder: Path) -> None:
    lines = scratch_text().splitlines()
    text = "\n".join(re.sub(r"^# (\[|[a-z_]+ = )", r"\1", line) for line in lines)
    (folder / ".env").touch()
    text = re.sub(r"^after = .*$", "", text, flags=re.MULTILINE)  # there is no db in this file
    deck = parse_deckfile(text, folder / "quarterdeck.toml")
    assert deck.exit_from == "web"
    assert ProcessTable.__struct_fields__ == tuple(
        key for key in ProcessTable.__struct_fields__ if re.search(rf"^(# )?{key} = ", scratch_text(), re.MULTILINE)
    )


def test_what_is_there_is_not_overwritten_unless_it_is_meant(folder: Path) -> None:
    path = folder / "quarterdeck.toml"
    path.write_text("mine")
    done = init(folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "quarterdeck.toml is there already" in done.stderr
    assert "--force" in done.stderr
    assert path.read_text() == "mine"
    assert init(folder, "--force").returncode == 0
    assert path.read_text() == scratch_text()


def test_it_writes_elsewhere_and_paths_hold_from_there(folder: Path) -> None:
    (folder / "deck").mkdir()
    (folder / "Procfile").write_text("web: ./web\n")
    (folder / ".env").write_text("A=1\n")
    done = init(folder, "--from", "Procfile", "-o", "deck/quarterdeck.toml")
    assert (done.returncode, done.stderr) == (0, "")
    (spec,) = read_deckfile(folder / "deck" / "quarterdeck.toml").processes
    assert (spec.cwd, spec.env) == (str(folder), {"A": "1"})


def test_it_tells_what_it_could_convert(folder: Path) -> None:
    (folder / "Procfile").write_text("web: web\n")
    assert "quarterdeck init --from Procfile --force" in init(folder).stdout


def test_a_wrong_source_writes_nothing(folder: Path) -> None:
    (folder / "Procfile").write_text("web\n")
    done = init(folder, "--from", "Procfile")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "quarterdeck: Procfile: line 1: expected NAME: COMMAND, found web\n"
    assert not (folder / "quarterdeck.toml").exists()
    assert "cannot be read: No such file" in init(folder, "--from", "Procfile.dev").stderr
    assert "expected a Procfile, a supervisord.conf" in init(folder, "--from", "x.yaml").stderr


# --- Procfile


@pytest.mark.usefixtures("folder")
def test_a_procfile() -> None:
    specs, text = converted(
        "Procfile",
        "# comment\n\nweb: FOO=1 BAR='a b' python web.py --x=\"1 2\"\n  db:postgres -D data  \n"
        "sh: cd x && ./run\nport: web --port $PORT\n",
    )
    assert specs["web"].command == ("python", "web.py", "--x=1 2")
    assert specs["web"].env == {"FOO": "1", "BAR": "a b"}
    assert specs["db"].command == ("postgres", "-D", "data")
    assert specs["sh"].command == ("sh", "-c", "cd x && ./run")
    assert "# && needs a shell, so this runs one." in text
    assert specs["port"].command == ("sh", "-c", "exec web --port $PORT")
    assert specs["port"].env == {"PORT": "5300"}
    assert all(spec.ready.kind == "running" for spec in specs.values())


PIECES = [
    "a='x y' prog $A",
    "A=1 prog; B=2 prog $B",
    "prog 'it'\\''s' | cat",
    'A="$HOME" prog',
    "exec prog $A",
    "exec prog 1",
    "exec prog 1 && prog 2",
    'prog "$(echo a b)" *',
    "A=1 B= prog 'x'",
    'prog "a \\"b\\" $A"',
    "prog # comment",
    "eval prog '$A'",
    '"$A" $B',
]


@pytest.mark.parametrize("command", PIECES)
def test_a_converted_command_does_what_it_did_in_a_shell(folder: Path, command: str) -> None:
    program = folder / "prog"
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"; echo "[$A][$B]"\n')
    program.chmod(0o755)
    env = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/home/x", "A": "prog"}
    specs, _ = converted("Procfile", f"p: {command}\n")
    before = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=True)
    spec = specs["p"]
    after = subprocess.run(spec.command, env={**env, **spec.env}, capture_output=True, text=True, check=True)
    assert after.stdout == before.stdout
    assert before.stdout


def test_the_port_counts_from_that_of_the_env_file(folder: Path) -> None:
    (folder / ".env").write_text("PORT=7000\n")
    specs, _ = converted("Procfile", "a: a\nb: b $PORT\n")
    assert specs["a"].env == {"PORT": "7000"}
    assert specs["b"].env == {"PORT": "7100"}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Procfile: no process in it"),
        ("web:", "line 1: expected NAME: COMMAND"),
        ("a: x\na: y", "line 2: a is there twice"),
        ("a: x 'y", "line 1: a quote is not closed"),
        ("a: 'x'y'", "line 1: a quote is not closed"),
        ("a: A=1 ", "A=1 is no program"),
    ],
)
def test_a_wrong_procfile_is_refused_by_line(content: str, said: str) -> None:
    assert said in fault("Procfile", content)


# --- supervisord.conf


def test_a_supervisord_conf(folder: Path) -> None:
    (folder / "srv").mkdir()
    specs, text = converted(
        "supervisord.conf",
        """
        [supervisord]
        nodaemon=true
        [program:late]
        command=late
        [program:web]
        command=python %(here)s/web.py --name=%(program_name)s --pct=5%% "a;b" ; a comment
        directory=srv
        environment=A="1,2",B='x y',C=3
        autorestart=true
        startretries=5
        startsecs=2
        stopsignal=QUIT
        stopwaitsecs=3
        autostart=false
        numprocs=2
        priority=5
        user=www
        stopasgroup=true
        stdout_capture_maxbytes=7
        [group:all]
        programs=web
        """.replace("\n        ", "\n"),
    )
    assert list(specs) == ["web-1", "web-2", "late"]
    web = specs["web-1"]
    assert web.command == ("python", f"{folder}/web.py", "--name=web", "--pct=5%", "a;b")
    assert (web.cwd, web.env) == (str(folder / "srv"), {"A": "1,2", "B": "x y", "C": "3"})
    assert (web.restart, web.restarts_max, web.stable_ms) == ("always", 5, 2_000)
    assert (web.stop_signal, web.stop_grace_ms, web.autostart) == ("SIGQUIT", 3_000, False)
    assert (specs["late"].restart, specs["late"].ready.kind) == ("on-failure", "running")
    for note in (
        "# priority was 5: say what it comes after instead.",
        "# user = www has no counterpart: it runs as you do.",
        "# stopasgroup = true: every stop goes to the whole process group.",
        "# stdout_capture_maxbytes = 7: has no counterpart.",
        "# [group:all] is not converted.",
    ):
        assert note in text.splitlines()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("restart", "ours"), [("true", "always"), ("FALSE", "never"), ("unexpected", "on-failure")])
def test_when_supervisord_restarts(restart: str, ours: str) -> None:
    specs, _ = converted("s.conf", f"[program:x]\ncommand=x\nautorestart={restart}\n")
    assert specs["x"].restart == ours


@pytest.mark.usefixtures("folder")
def test_numbered_programs_become_processes_of_their_own() -> None:
    specs, _ = converted("s.conf", "[program:w]\ncommand=w %(process_num)02d\nnumprocs=2\nnumprocs_start=8\n")
    assert {name: spec.command for name, spec in specs.items()} == {"w_8": ("w", "08"), "w_9": ("w", "09")}


@pytest.mark.usefixtures("folder")
def test_a_variable_of_the_environment_is_taken_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "me")
    specs, text = converted("s.conf", "[program:w]\ncommand=w %(ENV_WHO)s\n")
    assert specs["w"].command == ("w", "me")
    assert "# command holds the value that WHO had when this was written." in text


@pytest.mark.usefixtures("folder")
def test_a_folder_that_is_not_there_becomes_a_note() -> None:
    specs, text = converted("s.conf", "[program:w]\ncommand=w\ndirectory=/no/such\n")
    assert specs["w"].cwd == str(Path.cwd())
    assert '# cwd = "/no/such" is left out: there is no such folder here.' in text


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no process in it"),
        ("x", "File contains no section headers"),
        ("[program:x]\n", "[program:x] command: missing"),
        ("[program:x]\ncommand=x\nautorestart=maybe", "[program:x] autorestart: expected true, false or unexpected"),
        ("[program:x]\ncommand=x\nstopwaitsecs=soon", "[program:x] stopwaitsecs: expected an integer, found soon"),
        ("[program:x]\ncommand=x %(nothing)s", "[program:x] command: nothing is known of %(nothing)s"),
        ("[program:x]\ncommand=x\nenvironment=A", '[program:x] environment: expected KEY="value"'),
        ("[program:x]\ncommand=x\nstopsignal=BOO", "process.x.stop_signal: expected one of SIGTERM"),
        ("[program:x]\ncommand=x 'y", "process.x.command: expected a command"),
    ],
)
def test_a_wrong_supervisord_conf_is_refused_by_key(content: str, said: str) -> None:
    assert said in fault("s.conf", content)


# --- pm2

APPS = """
  { "name": "My App", "script": "app.js", "args": "--a 'b c'", "node_args": "--trace", "instances": 2, "cwd": "srv",
    "env": { "PORT": 3000, "DEBUG": true }, "max_memory_restart": "300M", "kill_timeout": 3000, "watch": true },
  { "script": "./x.py", "interpreter": "python3.11", "autorestart": false, "args": ["-v", 1], "max_restarts": 3 },
  { "name": "npm", "script": "npm", "args": "run start" },
  { "name": "npm", "script": "tool", "min_uptime": 1500 }
"""


def check_apps(folder: Path, name: str, content: str) -> None:
    (folder / "srv").mkdir()
    (folder / "tool").touch()
    specs, text = converted(name, content)
    assert list(specs) == ["My-App-1", "My-App-2", "x", "npm", "npm_2"]
    app = specs["My-App-1"]
    assert app.command == ("node", "--trace", "app.js", "--a", "b c")
    assert (app.cwd, app.env) == (str(folder / "srv"), {"PORT": "3000", "DEBUG": "true"})
    assert (app.memory_max, app.stop_grace_ms, app.stop_signal, app.restart) == (300 * 2**20, 3_000, "SIGINT", "always")
    assert specs["x"].command == ("python3.11", "./x.py", "-v", "1")
    assert (specs["x"].restart, specs["x"].restarts_max) == ("never", 3)
    assert specs["npm"].command == ("npm", "run", "start")
    assert (specs["npm_2"].command, specs["npm_2"].stable_ms) == (("./tool",), 1_500)
    assert '# It was called "My App".' in text
    assert "# watch has no counterpart." in text


@pytest.mark.parametrize("content", [f'{{"apps": [{APPS}]}}', f"[{APPS}]"], ids=["object", "list"])
def test_a_pm2_file_of_json(folder: Path, content: str) -> None:
    check_apps(folder, "ecosystem.json", content)


@needs_node
def test_a_pm2_file_of_javascript(folder: Path) -> None:
    program = f'console.log("noise");\nmodule.exports = {{ apps: [{APPS}], deploy: {{}} }};'
    check_apps(folder, "ecosystem.config.js", program)


@needs_node
def test_javascript_that_node_cannot_run_is_told(folder: Path) -> None:
    (folder / "ecosystem.config.js").write_text("module.exports = {\n")
    done = init(folder, "--from", "ecosystem.config.js")
    assert done.returncode == 2
    assert "node could not read it: SyntaxError" in done.stderr


def test_without_node_it_says_so(folder: Path) -> None:
    (folder / "ecosystem.config.js").write_text("module.exports = {}\n")
    done = init(folder, "--from", "ecosystem.config.js", PATH=str(folder))
    assert done.returncode == 2
    assert "node is not installed" in done.stderr


@pytest.mark.usefixtures("folder")
def test_as_many_as_there_are_processors() -> None:
    specs, text = converted("e.json", '[{"script": "a.py", "instances": "max"}, {"script": "b.py", "instances": -999}]')
    assert "b" in specs
    assert "# instances was max, which goes by the processors" in text


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "expected JSON"),
        ("[]", "no process in it"),
        ("7", "apps: expected a list of objects"),
        ("[1]", "apps: expected a list of objects"),
        ('[{"name": "x"}]', "apps[0].script: expected a text, found null"),
        ('[{"script": "x", "args": "\'"}]', "apps[0].args: expected a text or a list of texts"),
        ('[{"script": "x", "args": 7}]', "apps[0].args: expected a text or a list of texts"),
        ('[{"script": "x", "instances": "many"}]', "apps[0].instances: expected a number or max"),
        ('[{"script": "x", "max_memory_restart": "lots"}]', "process.x.memory_max: expected"),
    ],
)
def test_a_wrong_pm2_file_is_refused_by_key(content: str, said: str) -> None:
    assert said in fault("ecosystem.json", content)


# --- the text


@given(
    st.recursive(
        st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_written_as_toml_is_read_back(value: Any) -> None:
    assert tomllib.loads(f"x = {toml(value)}\n") == {"x": value}
