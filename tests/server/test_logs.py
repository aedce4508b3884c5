"""Log lines as JSON: whatever breaks, each line on stderr is one object with the members of docs/logs.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.server.logs import wants_json
from tests.server.launched import Launched, serve_command, short_folder
from tests.ui.running import environ

ALWAYS = {"timestamp", "level", "logger", "event", "pid"}
SOMETIMES = {"thread", "exception", "stack"}
LEVELS = {"debug", "info", "warning", "error", "critical"}

BREAKS = """
import asyncio, logging, sys, threading, warnings
from quarterdeck.server import logs

logs.configure("debug", "json")
ours, theirs = logging.getLogger("quarterdeck.server"), logging.getLogger("application.slice")
ours.debug("two\\nlines, \\x1b[31mred, \\udc80 and \\u2028")
theirs.info("not told: others' lines are told from warning on")
theirs.warning("%d of %s", "no number")
ours.warning("with its stack", stack_info=True)
warnings.warn("this is old", DeprecationWarning, stacklevel=1)


class Unshowable:
    def __str__(self):
        raise ValueError("never")

    __repr__ = __str__

    def __del__(self):
        raise LookupError("at the end")


logging.getLogger("a").error("%s", Unshowable())
thread = threading.Thread(target=lambda: 1 / 0, name="worker\\n1")
thread.start()
thread.join()


async def leave_a_task_behind():
    asyncio.get_running_loop().call_soon(lambda: {}["missing"])
    await asyncio.sleep(0)
    await asyncio.sleep(0)


asyncio.run(leave_a_task_behind())
raise RuntimeError("the\\nend")
"""


def parsed(text: str) -> list[dict[str, Any]]:
    """Every line, each of which must be an object of the documented form."""
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert ALWAYS <= line.keys() <= ALWAYS | SOMETIMES, line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert line["level"] in LEVELS
        assert line["pid"] > 0
        assert all(isinstance(value, str) for name, value in line.items() if name != "pid")
    return lines


def test_whatever_breaks_in_the_process_is_one_object_a_line() -> None:
    done = subprocess.run([sys.executable, "-W", "always", "-c", BREAKS], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = parsed(done.stderr)
    told = [(line["level"], line["logger"], line["event"]) for line in lines]
    assert told[0] == ("debug", "quarterdeck.server", "two\nlines, \x1b[31mred, \udc80 and \u2028")
    assert ("warning", "application.slice", "%d of %s ('no number',)") in told
    assert ("error", "a", "what was logged here cannot be shown") in told
    assert not any("not told" in event for _, _, event in told)
    assert any(logger == "py.warnings" and "this is old" in event for _, logger, event in told)
    assert any(line["event"] == "with its stack" and "BREAKS" not in line["stack"] for line in lines if "stack" in line)
    by_cause = {line["exception"].splitlines()[-1]: line for line in lines if "exception" in line}
    assert by_cause["ZeroDivisionError: division by zero"]["event"] == "thread worker\n1 ended: ZeroDivisionError"
    assert by_cause["KeyError: 'missing'"]["logger"] == "asyncio"
    assert "LookupError: at the end" in by_cause
    assert (lines[-1]["level"], lines[-1]["event"]) == ("critical", "the launcher ends: RuntimeError")
    assert lines[-1]["exception"].endswith("RuntimeError: the\nend")


def test_a_launcher_in_trouble_writes_nothing_but_objects() -> None:
    launched = Launched(
        {"pid_check": "off", "journal": "off"},
        options=("--log-format", "json", "--slice", "tests.slices.samples:Bad"),
        may_break_down=True,
    )
    try:
        tool = launched.join()
        tool.send({"cmd": "bad_do", "how": "late", "id": 1})
        assert tool.until(id=1)[-1]["code"] == "internal"
        again = subprocess.run(
            serve_command(launched.folder, {"log_format": "json"}), capture_output=True, text=True, check=False
        )
        launched.end()
        (line,) = parsed(launched.log.read_text())
    finally:
        launched.put_away()
    assert line["event"].startswith("bad_do broke down")
    assert line["exception"].endswith("KeyError: 'after the first'")
    assert again.returncode == 3
    assert [line["level"] for line in parsed(again.stderr)] == ["error"]


@pytest.mark.parametrize("words", [("--log-format", "json", "--set", "no=1"), ("--set", "log_format=json", "--no")])
def test_what_is_wrong_before_anything_was_read_is_an_object_too(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "quarterdeck", "serve", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), check=False)
    assert done.returncode == 2
    (line,) = parsed(done.stderr)
    assert "no" in line["event"]


def test_the_form_that_the_file_asks_for_holds_once_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "quarterdeck.toml"
    file.write_text('[quarterdeck]\nlog_format = "json"\n\n[process.one]\ncommand = ["true"]\n')
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o755)
    socket = str(tmp_path / "d" / "s.sock")
    command = [sys.executable, "-m", "quarterdeck", "serve", "--config", str(file), "--endpoint", socket]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), check=False, timeout=60)
    assert done.returncode != 0
    assert "must be 0700" in parsed(done.stderr)[0]["event"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("serve", "--log-format", "json"), True),
        (("serve", "--log-format=json"), True),
        (("up", "--set", "log_format=json"), True),
        (("serve", "--log-format", "text", "json"), False),
        (("serve",), False),
        ((), False),
    ],
)
def test_a_command_line_that_asks_for_json_is_known_before_it_is_read(words: tuple[str, ...], wanted: bool) -> None:
    assert wants_json(words) is wanted


def test_text_is_a_line_and_a_traceback_below_it() -> None:
    script = BREAKS.replace('"json"', '"text"')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    first, last = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[debug\] two", first)
    assert last == "end"
    assert "[critical] the launcher ends: RuntimeError [quarterdeck]\nTraceback (most recent call" in done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_rich_is_never_imported_by_a_launcher_that_has_no_terminal(form: str) -> None:
    folder = short_folder()
    command = serve_command(folder, {"log_level": "debug", "log_format": form, "limits.bad_lines": 2})
    traced = [command[0], "-X", "importtime", *command[1:]]
    launcher = subprocess.Popen(traced, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ())
    assert launcher.stdout is not None
    launcher.stdout.readline()
    quit = [sys.executable, "-m", "quarterdeck", "quit", "--endpoint", str(folder / "s.sock")]
    subprocess.run(quit, env=environ(), check=True, capture_output=True)
    _, said = launcher.communicate()
    imported = {line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")}
    assert "quarterdeck.server.engine" in imported
    assert {name for name in imported if name.partition(".")[0] in ("rich", "structlog")} == set()
