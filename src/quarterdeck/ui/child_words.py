"""Child words: what became of a child, in few words and one colour, as the commands that start and stop it show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quarterdeck.schema import events as e
from quarterdeck.schema.types import ChildState
from quarterdeck.ui.board import Card

OUTPUT_LINES: Final = 10
"""Of the last lines of one that failed; its log has them all."""
COLOURS: Final[Mapping[ChildState, str]] = {
    "ready": "green",
    "exited": "bright_black",
    "stopped": "bright_black",
    "backoff": "yellow",
    "failed": "red",
}


def words(event: e.ChildEvent) -> str:
    """What happened to it."""
    reason = f": {event.reason}" if event.reason is not None else ""
    match event.state:
        case "running":
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return f"{'was adopted' if event.reason == 'adopted' else 'started'}, pid {event.pid}{again}"
        case "ready":
            return "is ready"
        case "stopping":
            return f"is asked to stop{reason}"
        case "exited":
            return "has ended, exit code 0"
        case "backoff" if event.delay_ms is None:
            return f"{event.reason}"
        case "backoff":
            return f"{event.reason or 'has ended'}; starts again in {duration((event.delay_ms or 0) / 1000)}"
        case "failed":
            return f"has failed{reason}"
    if is_wait(event):
        return f"{event.reason}"
    left_something = event.reason is not None and ";" in event.reason
    return f"is stopped{_code(event)}{reason if event.pid is None or left_something else ''}"


def colour(event: e.ChildEvent) -> str:
    """Its colour, for terminals."""
    return COLOURS.get(event.state, "")


def standing(card: Card) -> str:
    """Where a child stands, for a table."""
    if card.goal == "down" and card.state in ("running", "ready"):
        return "runs until those that come after it have stopped"
    if card.event is not None and not is_beginning(card.event):
        return words(card.event)
    if card.goal == "up" and card.state == "stopped":
        return f"waits for {', '.join(card.after)}" if card.after else "is about to start"
    return f"is {card.state}"


def unregistered(name: str) -> str:
    """What is said of one that runs and does not get ready, for nothing but its registration shows that."""
    return (
        f'{name} runs, but has not registered, which would make it ready (ready = "registered", the default); '
        'a program that is no client of Quarterdeck wants ready = "running", or a port or a line of its log'
    )


def is_beginning(event: e.ChildEvent) -> bool:
    """Whether it tells no more than that the child is configured, and for whom it waits then."""
    is_told = isinstance(event, e.ChildStopped) and event.again is not True
    return is_told and (event.reason or "").startswith(("configured", e.WAITS_FOR))


def is_wait(event: e.ChildEvent) -> bool:
    """Whether it tells that the child is to start, and waits for those that it comes after."""
    return event.state == "stopped" and (event.reason or "").startswith(e.WAITS_FOR)


def last_lines(event: e.ChildEvent) -> list[str]:
    """The last lines of one that failed."""
    output = event.output if isinstance(event, e.ChildFailed) else None
    return (output or "").splitlines()[-OUTPUT_LINES:]


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, noun: str = "process", plural: str = "processes") -> str:
    """So many of them."""
    return f"{number} {noun if number == 1 else plural}"


def all_of(number: int) -> str:
    """All of so many processes."""
    return "the process" if number == 1 else "both processes" if number == 2 else f"all {number} processes"


def _code(event: e.ChildEvent) -> str:
    if not event.code:
        return ""
    return f", ended by signal {-event.code}" if event.code < 0 else f", exit code {event.code}"
