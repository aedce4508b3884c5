"""Dashboard: vitals on terminals of any size, whatever anybody is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.ui.dashboard import fit, lines_of, rate, size, span
from quarterdeck.ui.text import columns
from quarterdeck.ui.vitals import SORT_KEYS, ChildVitals, ClientVitals, LauncherVitals, Vitals, ordered

LAUNCHER = LauncherVitals(
    pid=7, version="1", run_id="r", phase="running", uptime_s=3_700.0, connections=2, events_per_s=12.0,
    commands_per_s=None, lag=3, memory_bytes=40 << 20, cpu_percent=1.4, journal="failing", journal_bytes=2048,
    journal_waiting=5, faults=1,
)  # fmt: skip


def client(client_id: int, name: str | None = "c", **members: object) -> ClientVitals:
    values: dict[str, object] = {
        "kind": "tool", "pid": 100 + client_id, "lag": 0, "lag_bytes": 0, "missed": 0, "slow": False,
        "events_per_s": None, "commands_per_s": 1.0, "received_bytes": 10, "received_per_s": 1.0, "sent_bytes": 2048,
        "sent_per_s": 3.0, "memory_bytes": None, "cpu_percent": None,
    }  # fmt: skip
    return ClientVitals(client_id=client_id, name=name, **{**values, **members})  # type: ignore[arg-type]  # as they are


def vitals(*clients: ClientVitals, children: tuple[ChildVitals, ...] = ()) -> Vitals:
    return Vitals(launcher=LAUNCHER, clients=clients, children=children)


def test_a_wide_terminal_shows_every_column() -> None:
    shown = vitals(client(1, "slowpoke", lag=9, lag_bytes=4096, missed=2, slow=True), client(2, None))
    texts = [line.text for line in lines_of(shown, "lag", 200)]
    assert texts[:3] == [
        "quarterdeck 1  pid 7  running  up 1h 1m",
        "connections 2  events/s 12  commands/s -  lag 3  faults 1",
        "memory 40M  cpu 1%  journal failing, 2.0K of this run, 5 steps wait",
    ]
    headings = "CLIENT KIND PID LAG BEHIND MISSED SLOW EVENTS/S COMMANDS/S IN IN/S OUT OUT/S MEMORY CPU"
    assert texts[4].split() == headings.split()
    row = "slowpoke tool 101 9 4.0K 2 slow - 1.0 10B 1B 2.0K 3B - -"
    assert texts[5].split() == row.split()
    assert texts[6].split()[0] == "-"


def test_a_narrow_one_keeps_name_and_lag() -> None:
    (heading, row) = [line.text for line in lines_of(vitals(client(1, "a-long-name-indeed", lag=9)), "lag", 16)][4:]
    assert heading.split() == ["CLIENT", "LAG"]
    assert row.split()[-1] == "9"
    assert "…" in row


def test_rows_that_do_not_fit_are_counted_and_children_have_their_share() -> None:
    children = tuple(
        ChildVitals(name=f"child{number}", state="failed", pid=None, restarts=number, reason="code 1")
        for number in range(20)
    )
    lines = lines_of(vitals(*map(client, range(1, 51)), children=children), "id", 100, 24)
    texts = [line.text.strip() for line in lines]
    assert len(texts) <= 24
    more = [text for text in texts if text.endswith(" more")]
    assert len(more) == 2
    shown = sum(text.startswith("c ") for text in texts)
    assert more[0] == f"… {50 - shown} more"
    assert any(text.startswith("child0") for text in texts)


@given(
    st.lists(st.text(max_size=40), max_size=8),
    st.integers(1, 160),
    st.integers(1, 40),
    st.sampled_from(SORT_KEYS),
    st.text(max_size=80),
)
def test_no_line_is_wider_nor_are_there_more_whatever_anybody_is_called(
    names: list[str], width: int, height: int, sort: str, notice: str
) -> None:
    clients = [client(number, name) for number, name in enumerate(names)]
    children = tuple(ChildVitals(name=name, state=name, pid=1, restarts=0, reason=name) for name in names)
    lines = lines_of(vitals(*clients, children=children), sort, width, height, notice)
    assert len(lines) <= height
    for line in lines:
        assert columns(line.text) <= width
        assert not any(character < " " or character == "\x7f" for character in line.text)


def test_figures_go_from_the_greatest_names_from_the_least_and_what_is_unknown_is_last() -> None:
    clients = [client(1, "b", cpu_percent=5.0), client(2, None), client(3, "a", cpu_percent=90.0, lag=1)]
    order = {key: [row.client_id for row in ordered(clients, key)] for key in ("lag", "cpu", "name", "id")}
    assert order == {"lag": [3, 1, 2], "cpu": [3, 1, 2], "name": [3, 1, 2], "id": [1, 2, 3]}


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("漢字漢", 5, "漢字…"),
        ("漢字漢", 4, "漢…"),
        ("ab", 0, ""),
        ("\n", 2, "\\n"),
    ],
)
def test_text_is_cut_by_columns(text: str, width: int, fitted: str) -> None:
    assert fit(text, width) == fitted


def test_figures_are_short() -> None:
    assert [size(count) for count in (None, 0, 1023, 1024, 20 << 10, 3 << 40)] == [
        "-",
        "0B",
        "1023B",
        "1.0K",
        "20K",
        "3.0T",
    ]
    assert [rate(per_s) for per_s in (None, 0.0, 0.25, 1234.5)] == ["-", "0", "0.2", "1234"]
    assert [span(seconds) for seconds in (0.5, 61, 90_061)] == ["0s", "1m 1s", "1d 1h"]
