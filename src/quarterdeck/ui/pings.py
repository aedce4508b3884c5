"""Pings: is a launcher there, and how fast does it answer?

Rules: it imports nothing that it does not need, for it is what scripts call to see whether a launcher is up; so it
does not know click. Times are of the answer alone, without connecting and registering.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from quarterdeck.client.address import find_endpoint
from quarterdeck.client.knock import knock
from quarterdeck.ui.screen import Screen, standard_output

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient

LINES_MAX: Final = 10
"""Up to so many pings each get a line of their own; beyond, the summary says more."""


def show_pings(address: dict[str, Any], count: int, *, as_json: bool) -> None:
    """Ping so many times and show how long it took; `address` as for `connect_blocking`. Raises: as that does."""
    screen = standard_output()
    if count == 1 and not as_json and _knock(screen, **address):
        return
    from quarterdeck.client.blocking import connect_blocking

    with connect_blocking(kind="tool", name="ping", events=(), **address) as client:
        each = count <= LINES_MAX and not as_json
        times = sorted(_ping(client, screen if each else None) for _ in range(count))
        median_us = (times[(count - 1) // 2] + times[count // 2]) / 2
        if as_json:
            screen.raw(_as_json(client, times, median_us))
        elif count > 1:
            screen.line(
                f"{count} pings of pid {client.launcher_pid}: min {duration(times[0])}, "
                f"median {duration(median_us)}, max {duration(times[-1])}"
            )


def _knock(screen: Screen, timeout_s: float, **place: Any) -> bool:
    """One ping, the quick way; whether it was answered as usual."""
    answer = knock(find_endpoint(**place), "ping", timeout_s)
    if answer is not None:
        _show_pong(screen, answer.launcher_pid, answer.launcher_version, answer.took_us, answer.version)
    return answer is not None


def _ping(client: BlockingClient, screen: Screen | None) -> float:
    """One ping; returns microseconds, and shows a line where there is a screen."""
    begin = perf_counter_ns()
    pong = client.ping()
    took_us = (perf_counter_ns() - begin) / 1000
    if screen is not None:
        _show_pong(screen, client.launcher_pid, client.launcher_version, took_us, pong.version)
    return took_us


def _show_pong(screen: Screen, pid: int, release: str, took_us: float, version: int) -> None:
    screen.line(f"pong from pid {pid} (version {release}) after {duration(took_us)}, stream at {version}")


def _as_json(client: BlockingClient, times: list[float], median_us: float) -> bytes:
    import msgspec

    return msgspec.json.encode(
        {
            "count": len(times),
            "min_us": round(times[0], 1),
            "median_us": round(median_us, 1),
            "max_us": round(times[-1], 1),
            "launcher_pid": client.launcher_pid,
            "launcher_version": client.launcher_version,
            "run_id": client.run_id,
            "version": client.version,
        }
    )


def duration(microseconds: float) -> str:
    """The time in microseconds, or from one millisecond on in milliseconds."""
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:.1f} ms"
