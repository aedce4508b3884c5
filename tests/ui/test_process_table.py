"""The process tree as people see it: branches, sums, and no more than one reads."""

from __future__ import annotations

import io

import pytest
from msgspec import structs

from quarterdeck.ui.process_table import show_process_tree
from quarterdeck.ui.process_tree import Row
from quarterdeck.ui.screen import Screen

MIB = 1 << 20


def shown(rows: list[Row], *, everything: bool = False) -> str:
    stream = io.StringIO()
    show_process_tree(Screen(stream), rows, everything=everything)
    return stream.getvalue()


def one(role: str, depth: int, name: str, pid: int | None = None, **members: object) -> Row:
    return Row(role=role, depth=depth, name=name, pid=pid, **members)  # type: ignore[arg-type]


DECK = [
    one("launcher", 0, "launcher", 1, state="running", uptime_s=90_061.5, cpu_percent=0.4, memory_bytes=40 * MIB),
    one("guard", 1, "guard", 2, uptime_s=59.0, cpu_percent=0.0, memory_bytes=9 * MIB, command="/usr/bin/python -I"),
    one("child", 1, "db", 3, state="ready", starts=3, uptime_s=60, cpu_percent=250.0, memory_bytes=1536 * MIB),
    one("descendant", 2, "sh", 4, child="db", uptime_s=0.2, command="/bin/sh -c x"),
    one("descendant", 3, "sleep", 5, child="db"),
    one("descendant", 2, "old", 6, child="db", state="zombie"),
    one("child", 1, "mail", state="backoff", starts=0, reason="no such program: mail"),
    one("child", 1, "web", 7, state="running", kind="host", starts=1),
    one("descendant", 2, "tab", 8, child="web", kind="renderer", state="running"),
    one("client", 0, "editor", 9, kind="tool", state="running"),
    one("gone", 0, "ping", 10, kind="tool", state="exited", code=-9),
]

SHOWN = """\
NAME            KIND      STATE    PID  UPTIME  RESTARTS  CPU   MEMORY  WHAT
launcher        -         running  1    1d 1h   -         0%    40.0M   -
├─ guard        -         -        2    59s     -         0%    9.0M    python -I
├─ db           -         ready    3    1m 0s   2         250%  1.50G   -
│  ├─ sh        -         -        4    0s      -         -     -       sh -c x
│  │  └─ sleep  -         -        5    -       -         -     -       -
│  └─ old       -         zombie   6    -       -         -     -       -
├─ mail         -         backoff  -    -       0         -     -       no such program: mail
└─ web          host      running  7    -       0         -     -       -
   └─ tab       renderer  running  8    -       -         -     -       -
other clients
  editor        tool      running  9    -       -         -     -       -
gone
  ping          tool      exited   10   -       -         -     -       code -9
"""


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("ready", None, "no host"),
        ("failed", "exit code 1", "no host"),
        ("stopped", "configured, not started", "no host"),
        ("running", None, "starting"),
        ("backoff", "exit code 1", "starting"),
        ("stopped", "waits for db", "starting"),
        ("stopped", "configured", "starting"),
    ],
)
def test_the_launcher_starts_while_one_of_its_children_is_on_its_way(state: str, reason: str | None, said: str) -> None:
    launcher = one("launcher", 0, "launcher", 1, state="starting")
    assert f" {said} " in shown([launcher, one("child", 1, "web", state=state, reason=reason)]).splitlines()[1]
    assert " starting " in shown([launcher]).splitlines()[1]


def test_a_host_that_does_not_answer_is_shown_as_such_whatever_its_child_is() -> None:
    said = shown([one("child", 1, "web", 7, state="ready", kind="host", starts=1, unresponsive=True)])
    assert said.split("\n")[1].split()[:5] == ["└─", "web", "host", "unresponsive", "7"]


def test_a_tree_is_drawn_with_its_figures() -> None:
    assert shown(DECK) == SHOWN


def test_only_so_many_are_shown_but_whoever_is_registered() -> None:
    below = [one("descendant", 2, f"d{place}", 100 + place, child="db") for place in range(30)]
    below[29] = structs.replace(below[29], kind="srv", name="known")
    gone = [one("gone", 0, f"g{place}", 200 + place, state="exited", code=0) for place in range(15)]
    rows = [*DECK[:3], *below, *DECK[6:8], *gone]
    lines = shown(rows).splitlines()
    assert sum(f"─ d{place} " in line for line in lines for place in range(30)) == 10
    assert any("├─ known" in line for line in lines)
    assert any(line.startswith("│  └─ … 19 more (--all)") for line in lines)
    assert [line.split()[0] for line in lines[-11:]] == ["…", *(f"g{place}" for place in range(5, 15))]
    assert lines[-11].strip() == "… 5 more (--all)"
    assert len(shown(rows, everything=True).splitlines()) == len(rows) + 2


def test_tools_that_did_what_they_came_for_do_not_hide_who_crashed() -> None:
    tools = [one("gone", 0, "ps", 300 + place, state="exited", code=0, kind="tool") for place in range(20)]
    crashed = one("gone", 0, "srv", 299, state="exited", code=-11, kind="srv")
    failed = one("gone", 0, "send", 400, state="exited", code=1, kind="tool")
    lines = shown([*DECK[:1], crashed, *tools, failed]).splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["…", "srv", "send"]
    assert lines[-3].strip() == "… 20 more (--all)"


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb"])
def test_a_hostile_name_stays_in_its_cell(name: str) -> None:
    lines = shown([DECK[0], one("client", 0, name, 9)]).splitlines()
    assert len(lines) == 4
    assert lines[3].isprintable()


def test_no_child_and_no_client_is_only_the_launcher() -> None:
    assert len(shown(DECK[:1]).splitlines()) == 2
