"""`quarterdeck conform`: what it lists, shows and refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.faulty import behind
from tests.conformance.test_faulty_launchers import NumbersErrors, TakesFractions
from tests.ui.running import Launcher, run


def test_the_list_has_every_section_and_a_rule_a_line() -> None:
    listed = run("conform", "--list").stdout.splitlines()
    assert [line for line in listed if not line.startswith(" ")] == [
        "1 Framing",
        "2 Two kinds of event",
        "3 Connection life",
        "4 Commands",
        "5 Stream events",
        "6 Replies",
        "7 Directives and shutdown",
        "8 Slow readers",
        "9 Endpoint and identity",
        "10 Limits",
    ]
    as_json = [json.loads(line) for line in run("conform", "--list", "--json", "--only", "3.6").stdout.splitlines()]
    assert [rule["rule"] for rule in as_json] == [
        "3.6/hundred-bad-lines",
        "3.6/counted-anew",
        "3.6/bad-lines-before-anybody",
    ]


def test_a_section_that_is_none_is_refused() -> None:
    done = run("conform", "--only", "3.9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "quarterdeck: --only 3.9: no such section or rule; see: quarterdeck conform --list\n"


def test_nobody_to_check(folder: Path) -> None:
    done = run("conform", "--endpoint", str(folder / "none.sock"))
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("quarterdeck: no launcher listens at ")


def test_what_is_upheld_is_a_line(launcher: Launcher) -> None:
    done = launcher.run("conform", "--endpoint", launcher.endpoint, "--only", "1/blank-lines")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "1 Framing",
        r"  ok      1/blank-lines  Lines that are empty or hold only spaces, tabs and \r are skipped.",
        "1 rules: 1 upheld, 0 broken, 0 not applicable",
    ]


def test_what_is_broken_is_shown_with_its_lines(launcher: Launcher) -> None:
    with behind(launcher.endpoint, TakesFractions) as endpoint:
        done = run("conform", "--endpoint", endpoint, "--only", "1/integers")
    assert (done.returncode, done.stderr) == (1, "")
    shown = [line.strip() for line in done.stdout.splitlines()]
    assert 'expected: a line with "event":"error", "code":"invalid_command", "fatal":false' in shown
    assert 'came:     {"event":"pong","nonce":1,"version":1}' in shown
    assert 'A> {"cmd":"ping","nonce":1.0}' in shown
    assert shown[-1] == "1 rules: 0 upheld, 1 broken, 0 not applicable"


def test_json_has_all_of_it(launcher: Launcher) -> None:
    with behind(launcher.endpoint, NumbersErrors) as endpoint:
        done = run("conform", "--json", "--endpoint", endpoint, "--only", "1/unknown-command")
    good, bad = [json.loads(line) for line in done.stdout.splitlines()]
    assert (good["rule"], good["verdict"]) == ("1/unknown-command", "pass")
    assert (bad["rule"], bad["verdict"]) == ("2/error-has-no-version", "fail")
    assert (bad["expected"], bad["got"]) == ("version 0", "version 1")
    assert any('"code":"invalid_command"' in line for line in bad["lines"])
