"""The checks have teeth: each of these launchers breaks one rule, and is told which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from quarterdeck.conformance.server.running import Target, check_launcher
from tests.conformance.faulty import Altered, Fault, Line, behind
from tests.launching import Launcher

PATIENCE_S = 2.0


class AnswersBlankLines(Fault):
    def asked(self, line: bytes) -> Altered:
        return (line if line.strip() else b"{}\n",)


class TakesTornLines(Fault):
    def asked(self, line: bytes) -> Altered:
        return (line.rstrip(b"\n") + b"\n",)


class TakesFractions(Fault):
    def asked(self, line: bytes) -> Altered:
        return (line.replace(b":1.0}", b":1}"),)


class TakesTwoObjects(Fault):
    def asked(self, line: bytes) -> Altered:
        return (line.replace(b"}{", b"}\n{"),)


class Told(Fault):
    """Alters values that the launcher tells."""

    def told(self, line: bytes) -> Altered:
        value = json.loads(line)
        return (encoded(told) for told in self.alter(value))

    def alter(self, value: Line) -> Iterator[Line]:
        yield value


def encoded(value: Line) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class EscapesText(Fault):
    def told(self, line: bytes) -> Altered:
        return (json.dumps(json.loads(line)).encode() + b"\n",)


class RoundsIntegers(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("event") == "published" and isinstance(value["payload"], list):
            value["payload"] = [float(n) if isinstance(n, int) and abs(n) > 2**53 else n for n in value["payload"]]
        yield value


class EchoesIdTwice(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("event") == "pong" and "id" in value:
            yield value
        yield value


class EchoesTextAsNumber(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("id") == "1":
            value["id"] = 1
        yield value


class LeavesOutEvents(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if not (value.get("event") == "published" and value["version"] % 7 == 0):
            yield value


class HoldsEventsBack(Told):
    """The event comes, but after the reply."""

    def __init__(self) -> None:
        self._held: list[Line] = []

    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("event") == "published":
            self._held.append(value)
            return
        yield value
        if value.get("event") in {"pong", "ack"}:
            yield from self._held
            self._held.clear()


class NumbersErrors(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        yield {**value, "version": 1} if value.get("event") == "error" else value


class TakesAnyRun(Fault):
    def asked(self, line: bytes) -> Altered:
        return (line.replace(b'"run_id": "00000000-', b'"other": "00000000-'),)


class TalksBeforeRegister(Fault):
    def greeting(self) -> bytes:
        return b'{"event":"pong","nonce":1,"version":0}\n'


class ForgivesNobody(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        yield {**value, "fatal": True} if value.get("code") == "not_registered" else value


class StaysOpen(Fault):
    def ended(self) -> bool:
        return False


class TellsExitsTwice(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        yield value
        if value.get("event") == "process_exited":
            yield value


class KeepsOwnExit(Told):
    """Whoever leaves is not told the events of its goodbye."""

    leaving = False

    def asked(self, line: bytes) -> Altered:
        self.leaving = self.leaving or b'"goodbye"' in line
        return (line,)

    def alter(self, value: Line) -> Iterator[Line]:
        if not (self.leaving and value.get("event") == "process_exited"):
            yield value


class CallsEveryEndDisconnected(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        yield {**value, "reason": "disconnected"} if value.get("reason") == "evicted" else value


class NamesNoMember(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        yield {**value, "message": "wrong"} if value.get("code") == "invalid_command" else value


class LeavesOutMember(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("event") == "process_exited":
            del value["synthetic"]
        yield value


class SortsNothing(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("event") == "snapshot":
            value["processes"].reverse()
        yield value


class CountsNoCommands(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        for row in value.get("connections", ()):
            row["commands"] = 1
        yield value


class CountsDown(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        for sample in value.get("samples", ()):
            sample["value"] = -sample["value"]
        yield value


class SubscribesAtHead(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        yield {**value, "version": value["version"] + 1} if value.get("event") == "subscribed" else value


class SaysNothingAtTheEnd(Told):
    def alter(self, value: Line) -> Iterator[Line]:
        if value.get("kind") != "command":
            yield value


class NoJson(Fault):
    def told(self, line: bytes) -> Altered:
        return (line.replace(b'"event":"pong"', b'event:"pong"'),)


CAUGHT: list[tuple[type[Fault], str]] = [
    (AnswersBlankLines, "1/blank-lines"),
    (TakesTornLines, "1/torn-last-line"),
    (TakesFractions, "1/integers"),
    (TakesTwoObjects, "1/one-object"),
    (EscapesText, "1/compact-payload"),
    (RoundsIntegers, "1/exact-integers"),
    (EchoesIdTwice, "1/id-once"),
    (EchoesTextAsNumber, "1/id-echo"),
    (NoJson, "1/lines-from-the-launcher"),
    (LeavesOutEvents, "2/dense"),
    (HoldsEventsBack, "2/events-before-reply"),
    (HoldsEventsBack, "2/ping-is-a-fence"),
    (NumbersErrors, "2/error-has-no-version"),
    (TakesAnyRun, "2/unknown-run"),
    (TalksBeforeRegister, "3.1/only-errors-before-register"),
    (ForgivesNobody, "3.1/queries-before-register"),
    (StaysOpen, "3.3/fatal"),
    (KeepsOwnExit, "3.4/goodbye-answered"),
    (TellsExitsTwice, "3.5/one-exit"),
    (CallsEveryEndDisconnected, "3.5/evicted"),
    (NamesNoMember, "4/ping-members"),
    (LeavesOutMember, "5/process_exited"),
    (SortsNothing, "6/snapshot-sorted"),
    (CountsNoCommands, "6/metrics-connections"),
    (CountsDown, "6/metrics-samples"),
    (SubscribesAtHead, "6/register-with-since"),
    (SaysNothingAtTheEnd, "7/quit-ends-it"),
]


@pytest.mark.parametrize(("fault", "rule"), CAUGHT, ids=[f"{fault.__name__}-{rule}" for fault, rule in CAUGHT])
def test_each_is_told_which_rule_it_breaks(launcher: Launcher, fault: type[Fault], rule: str) -> None:
    with behind(launcher.endpoint, fault) as endpoint:
        results = check_launcher(Target(endpoint, consent=True, patience_s=PATIENCE_S), (rule,))
    (broken,) = [result for result in results if result.rule == rule]
    assert broken.verdict == "fail", broken
    assert broken.expected
    assert broken.got
    assert broken.lines
    if fault is SaysNothingAtTheEnd:
        assert launcher.wait() == 0


def test_without_a_fault_the_relay_breaks_nothing(launcher: Launcher) -> None:
    with behind(launcher.endpoint, Fault) as endpoint:
        results = check_launcher(Target(endpoint, patience_s=30), ("1", "3.4", "3.5"))
    assert {result.rule: result for result in results if result.verdict == "fail"} == {}
    assert sum(result.verdict == "pass" for result in results) > 30


def broken(results: list[Any]) -> set[str]:
    return {result.rule for result in results if result.verdict == "fail"}


def test_a_broken_rule_is_told_though_it_was_not_asked_for(launcher: Launcher) -> None:
    with behind(launcher.endpoint, NumbersErrors) as endpoint:
        results = check_launcher(Target(endpoint, patience_s=PATIENCE_S), ("1/unknown-command",))
    assert broken(results) == {"2/error-has-no-version"}
