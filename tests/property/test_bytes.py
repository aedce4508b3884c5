"""Bytes: any split of them gives the same replies; random ones only ever give error replies and never change the
state.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.property.deck import RUN_ID, Deck, lines_of, register_line
from tests.schema.samples import COMMANDS

SETTINGS = ("limits.bad_lines=4", "limits.max_line_bytes=300", "limits.payload_bytes=64")
# No subscribe with `since`: how much of the earlier subscription still goes out before it jumps depends on the read.
QUERIES = (
    b'{"cmd":"get_events","since":0,"limit":3,"id":7}',
    b'{"cmd":"get_events","since":2,"run_id":"%s"}' % RUN_ID.encode(),
    b'{"cmd":"get_snapshot","id":"s"}',
    b'{"cmd":"subscribe","id":8}',
    b'{"cmd":"subscribe","snapshot":true,"id":9}',
    b'{"cmd":"subscribe","events":["published","process_*"],"id":10}',
    b'{"cmd":"publish","topic":"t","payload":"' + b"x" * 70 + b'"}',
)
JUNK = (
    b"",
    b" \r",
    b"x",
    b"{}",
    b'{"id":1}',
    b'{"cmd":"fly"}',
    b"\xff",
    b'{"cmd":"ping","nonce":1}{}',
    b"y" * 299,
    b"y" * 300,
)
# Not `quit`: what follows it in the same read is still answered, what comes after it is not. Not `get_metrics`: it
# counts the reads.
SPLIT_MATTERS = {"quit", "get_metrics"}
LINES = st.sampled_from(
    [msgspec.json.encode(command) for name, command in COMMANDS.items() if name not in SPLIT_MATTERS]
    + [*QUERIES, *JUNK]
)


async def _answers(pieces: list[bytes], settle_after: list[bool]) -> tuple[list[bytes], bytes]:
    """What the talker and somebody who listens are sent, and the state it ends in."""
    deck = Deck(SETTINGS)
    listener, talker = deck.connect(), deck.connect()
    listener.feed(register_line(1, "tool") + b"\n")
    await deck.settle()
    for piece, is_settled in zip(pieces, settle_after, strict=True):
        talker.feed(piece)
        if is_settled:
            await deck.settle()
    talker.feed(None)
    await deck.settle()
    assert talker.has_ended
    answers = [_without_directives(talker.take()), listener.take()], deck.snapshot()
    await deck.close()
    return answers


def _without_directives(sent: bytes) -> bytes:
    """They go to a host that is still there after the turn: whether it is depends on the reads."""
    return b"".join(line for line in sent.splitlines(keepends=True) if b'"kind":"command"' not in line)


@given(st.booleans(), st.lists(LINES, max_size=14), st.data())
def test_any_split_gives_the_same_replies(
    runner: asyncio.Runner, registers: bool, lines: list[bytes], data: st.DataObject
) -> None:
    first = [register_line(101, "host")] if registers else []
    received = b"".join(line + b"\n" for line in first + lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(received)), max_size=12)))
    pieces = [received[a:b] for a, b in pairwise([0, *cuts, len(received)])]
    settles = data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
    assert runner.run(_answers(pieces, settles)) == runner.run(_answers([received], [True]))


@given(st.lists(LINES, max_size=8))
def test_byte_by_byte_gives_the_same_replies(runner: asyncio.Runner, lines: list[bytes]) -> None:
    received = b"".join(line + b"\n" for line in [register_line(101, "tool"), *lines])
    crumbs = [received[i : i + 1] for i in range(len(received))]
    assert runner.run(_answers(crumbs, [False] * len(crumbs))) == runner.run(_answers([received], [True]))


async def _after_noise(noise: list[bytes], registers: bool) -> tuple[bytes, bytes, bytes, bool]:
    deck = Deck(["limits.max_line_bytes=300"])
    pipe = deck.connect()
    if registers:
        await deck.say(pipe, register_line(101, "host"))
    before = deck.snapshot()
    for piece in noise:
        pipe.feed(piece)
        await deck.settle()
    state = before, pipe.take(), deck.snapshot(), pipe.has_ended
    await deck.close()
    return state


NOISE = st.lists(
    st.binary(max_size=400)
    | st.text(max_size=60).map(str.encode)
    | st.sampled_from([b"\n", b'"', b"{", b"[" * 70, b"\n" * 9]),
    max_size=12,
)


@given(NOISE, st.booleans())
def test_random_bytes_only_give_error_replies_and_change_nothing(
    runner: asyncio.Runner, noise: list[bytes], registers: bool
) -> None:
    before, answers, after, has_ended = runner.run(_after_noise(noise, registers))
    replies = lines_of(answers)
    assert all(reply["event"] == "error" for reply in replies)
    assert {reply["code"] for reply in replies} <= {"invalid_command", "line_too_long"}
    assert has_ended is any(reply["fatal"] for reply in replies)
    if not has_ended:
        assert after == before


async def _refusals(lines: list[bytes], kind: str) -> None:
    deck = Deck(SETTINGS[1:])
    pipe = deck.connect()
    await deck.say(pipe, register_line(101, kind))
    for line in lines:
        before = deck.snapshot()
        replies = lines_of(await deck.say(pipe, line))
        if any(reply.get("event") == "error" and not reply["fatal"] for reply in replies):
            assert len(replies) == 1
            assert deck.snapshot() == before
    await deck.close()


@given(
    st.lists(st.tuples(LINES, st.integers(0, 300), st.binary(max_size=3), st.integers(0, 3)), max_size=10),
    st.sampled_from(["host", "tool", "srv", "renderer"]),
)
def test_a_refusal_is_the_only_answer_and_changes_nothing(
    runner: asyncio.Runner, scratches: list[tuple[bytes, int, bytes, int]], kind: str
) -> None:
    """Valid lines with some bytes of them replaced: most are refused, and some mean something else."""
    lines = [line[:at] + put + line[at + gone :] for line, at, put, gone in scratches]
    runner.run(_refusals([line.replace(b"\n", b" ") for line in lines], kind))
