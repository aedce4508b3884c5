"""Our own clients keep to the protocol; each of these others breaks one rule, and is told which."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from quarterdeck.conformance.client.judge import RULES
from quarterdeck.conformance.client.running import check_client
from quarterdeck.conformance.rules import Result
from tests.ui.running import run

CLIENTS = Path(__file__).with_name("clients")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE_S = 40.0

OURS = {
    "blocking": (sys.executable, str(CLIENTS / "stays.py")),
    "async": (sys.executable, str(EXAMPLES / "service.py")),
    "node": ("node", str(EXAMPLES / "node_client.js")),
}
COMES_BACK = {"2/since-with-run", "2/cursor", "2/resumes", "2/unknown-run"}


@pytest.mark.parametrize("name", OURS)
def test_ours_keep_to_every_rule(name: str) -> None:
    if shutil.which(OURS[name][0]) is None:
        pytest.skip("node is not installed")
    # The example in JavaScript ends with its connection, so it need not be waited for; the others surely come back.
    results = check_client(OURS[name], patience_s=4 if name == "node" else PATIENCE_S)
    assert [result for result in results if result.verdict == "fail"] == []
    aside = {result.rule for result in results if result.verdict == "not applicable"}
    assert aside == (COMES_BACK if name == "node" else set())
    assert len(results) == len(RULES)


CAUGHT = {
    "ping-first": "3.1/register-first",
    "twice": "3.2/register-once",
    "talks-on": "3.4/nothing-after-goodbye",
    "two-objects": "1/one-object",
    "fractions": "4/members",
    "directs": "4/misrouted",
    "another-pid": "9/pid",
    "ahead": "2/cursor",
    "stubborn": "2/unknown-run",
    "strict-members": "1/unknown-members",
    "strict-events": "5/unknown-events",
    "reads-are-lines": "1/split-lines",
    "short-lines": "1/long-lines",
    "dies-of-shutdown": "7/shutdown",
}


def wrong(fault: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", str(CLIENTS / "wrong.py"), fault)


def the(results: list[Result], rule: str) -> Result:
    (found,) = [result for result in results if result.rule == rule]
    return found


# In their scenes a client has to stay for a while first, and nothing says that it does.
STAYS_FIRST_S = {"ahead": 0.7, "stubborn": 0.7, "dies-of-shutdown": 3.0}


@pytest.mark.parametrize("fault", CAUGHT)
def test_each_is_told_which_rule_it_breaks(fault: str) -> None:
    settle_s = STAYS_FIRST_S.get(fault, PATIENCE_S)
    results = check_client(wrong(fault), (CAUGHT[fault],), patience_s=PATIENCE_S, settle_s=settle_s)
    broken = the(results, CAUGHT[fault])
    assert broken.verdict == "fail", broken
    assert broken.expected
    assert broken.got
    assert broken.lines


def test_one_that_never_comes_is_told_so() -> None:
    results = check_client(wrong("absent"), ("9/endpoint",), patience_s=0.5)
    assert the(results, "9/endpoint").got == "0 connections"


def test_one_without_a_fault_breaks_nothing() -> None:
    results = check_client(wrong("none"), ("1", "2", "5"), patience_s=PATIENCE_S)
    assert [result.rule for result in results if result.verdict == "fail"] == []


def test_the_command_line_shows_it() -> None:
    done = run("conform", "--client", "--settle", "40", "--only", "4/members", "--", *wrong("fractions"))
    assert done.returncode == 1
    assert 'A< {"cmd": "ping", "nonce": 1.0}' in done.stdout
    assert done.stdout.endswith("1 rules: 0 upheld, 1 broken, 0 not applicable\n")
    assert run("conform", "--client", "--", "no-such-program").returncode == 127
    assert "--settle is for --client" in run("conform", "--settle", "1").stderr
    assert "  2/resumes  " in run("conform", "--client", "--list").stdout
