"""The short commands, over a real launcher: what they print, piped and as JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from tests.client import lines
from tests.client.scripted import Scripted, scripted
from tests.ui.running import Launcher, run, run_on_terminal

HOSTILE = "\x1b]0;owned\x07\x9b2J\u202eevil[red]"


def test_ping_says_who_answered_and_how_fast(shared: Launcher) -> None:
    done = shared.run("ping")
    assert done.returncode == 0
    assert re.fullmatch(
        rf"pong from pid {shared.pid} \(version .*\) after \d+(\.\d)? (µs|ms), stream at \d+\n", done.stdout
    )


def test_a_few_pings_get_a_line_each_and_a_summary(shared: Launcher) -> None:
    lines = shared.run("ping", "-n", "3").stdout.splitlines()
    assert len(lines) == 4
    assert re.fullmatch(rf"3 pings of pid {shared.pid}: min .*, median .*, max .*", lines[3])


def test_many_pings_are_only_summed_up(shared: Launcher) -> None:
    assert len(shared.run("ping", "-n", "200").stdout.splitlines()) == 1


def test_a_ping_that_is_refused_says_why_in_the_words_of_any_command() -> None:
    def script(launcher: Scripted) -> None:
        for _ in range(2):  # first it only knocks
            peer = launcher.accept()
            peer.hear_cmd("register")
            peer.say(lines.error("too_many_connections", fatal=True))
            peer.close()

    with scripted(script) as launcher:
        done = run("ping", endpoint=launcher.endpoint)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "quarterdeck: too_many_connections: too_many_connections it is; "
        "end clients that are not needed, or raise the launcher's limit\n"
    )


def test_ping_as_json(shared: Launcher) -> None:
    value = json.loads(shared.run("ping", "-n", "50", "--json").stdout)
    assert (value["count"], value["launcher_pid"]) == (50, shared.pid)
    assert 0 < value["min_us"] <= value["median_us"] <= value["max_us"]


def test_the_endpoint_is_where_clients_look(shared: Launcher) -> None:
    assert shared.run("endpoint").stdout == shared.endpoint + "\n"
    assert run("endpoint", "--endpoint", "/x", endpoint="/y").stdout == "/x\n"


def test_a_piped_snapshot_is_json(shared: Launcher) -> None:
    value = json.loads(shared.run("snapshot").stdout)
    assert value["event"] == "snapshot"
    assert value["run_id"] in shared.line
    assert "id" not in value
    assert value["processes"][-1]["state"] in {"running", "exited"}


def test_a_snapshot_on_a_terminal_is_a_summary(shared: Launcher) -> None:
    code, shown = run_on_terminal(["snapshot"], endpoint=shared.endpoint)
    assert code == 0
    assert "processes: " in shown
    assert "\x1b[1m" in shown
    with pytest.raises(json.JSONDecodeError):
        json.loads(shown)
    code, shown = run_on_terminal(["snapshot", "--json"], endpoint=shared.endpoint)
    assert json.loads(shown)["event"] == "snapshot"


def test_ps_lists_processes(shared: Launcher) -> None:
    shared.run("ping")
    headings, launcher, *_, last = shared.run("ps", "--all").stdout.splitlines()
    assert headings.split() == ["NAME", "KIND", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "WHAT"]
    assert launcher.split()[:4] == ["launcher", "-", "starting", str(shared.pid)]
    assert last.split()[1:3] == ["tool", "exited"]
    processes = [json.loads(line) for line in shared.run("ps", "--json").stdout.splitlines()]
    assert [row["pid"] for row in processes if row["role"] == "launcher"] == [shared.pid]
    assert {"pid", "kind", "name", "state", "code", "client_version", "spawned_at"} <= processes[-1].keys()
    assert [row for row in processes if row["state"] == "running"] == []  # who asks does not count


def test_a_hostile_name_cannot_control_the_terminal(shared: Launcher) -> None:
    assert shared.run("publish", "topic", "1", "--name", HOSTILE).returncode == 0
    assert shared.run("publish", HOSTILE, json.dumps(HOSTILE, ensure_ascii=False)).returncode == 0
    for args in (["ps", "--all"], ["snapshot"], ["snapshot", "--json"], ["watch", "--since", "0", "--for", "0.5"]):
        _, shown = run_on_terminal(args, endpoint=shared.endpoint)
        assert "evil[red]" in shown
        ours = re.sub(r"\x1b\[[\d;]*m", "", shown).replace("\r\n", "")
        assert ours.isprintable(), args
        assert "\x1b]" not in shown


def test_publish_says_at_which_version(shared: Launcher) -> None:
    before = json.loads(shared.run("ping", "--json").stdout)["version"]
    done = shared.run("publish", "topic", '{"a": [1, 2.5, null, "ü"]}')
    assert done.returncode == 0
    found = re.fullmatch(r"published at version (\d+)\n", done.stdout)
    assert found is not None
    assert int(found[1]) > before


def test_what_the_launcher_refuses_is_one_line_and_code_1(shared: Launcher) -> None:
    done = shared.run("publish", "topic", json.dumps("x" * 70_000))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1


def test_send_prints_what_comes_back(shared: Launcher) -> None:
    done = shared.run("send", '{"cmd":"ping","nonce":7}', '{"cmd":"publish","topic":"t","payload":1,"id":"a"}')
    assert done.returncode == 0
    pong, ack = map(json.loads, done.stdout.splitlines())
    assert (pong["event"], pong["nonce"]) == ("pong", 7)
    assert (ack["event"], ack["id"]) == ("ack", "a")


def test_send_reads_standard_input_and_shows_errors(shared: Launcher) -> None:
    done = shared.run("send", "-", stdin='{"cmd":"ping","nonce":1}\n\nnot JSON\n{"cmd":"ping","nonce":"x","id":3}\n')
    assert done.returncode == 1
    pong, first, second = map(json.loads, done.stdout.splitlines())
    assert pong["event"] == "pong"
    assert (first["event"], first["code"]) == ("error", "invalid_command")
    assert (second["event"], second["id"]) == ("error", 3)


def test_send_shows_events_where_they_are_wanted(shared: Launcher) -> None:
    line = '{"cmd":"publish","topic":"loud","payload":{"a":1},"id":1}'
    quiet = [json.loads(line)["event"] for line in shared.run("send", line).stdout.splitlines()]
    loud = [json.loads(line)["event"] for line in shared.run("send", "--events", line).stdout.splitlines()]
    assert quiet == ["ack"]
    assert [name for name in loud if name in {"published", "ack"}] == ["published", "ack"]


def test_quit_ends_the_launcher(launcher: Launcher) -> None:
    done = launcher.run("quit", "--reason", "last_window_closed")
    assert (done.returncode, done.stdout) == (0, f"launcher pid {launcher.pid} has quit\n")
    assert launcher.process.poll() == 0
    assert not os.path.exists(launcher.endpoint)


def test_the_schema_is_json_and_needs_no_launcher() -> None:
    done = run("schema")
    assert done.returncode == 0
    assert "process_spawned" in done.stdout
    assert isinstance(json.loads(done.stdout), dict)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_QUARTERDECK_COMPLETE" in done.stdout
    assert run("completion", SHELL=f"/bin/{shell}").stdout == done.stdout


def test_a_shell_completes_commands() -> None:
    done = run(_QUARTERDECK_COMPLETE="bash_complete", COMP_WORDS="quarterdeck p", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,ping", "plain,ps", "plain,publish"]


def test_bash_takes_the_script() -> None:
    script = run("completion", "bash").stdout
    try:
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("bash is not installed")
    assert done.returncode == 0, done.stderr
