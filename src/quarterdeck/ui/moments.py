"""Moments: what people write for a time, and a time as people read it. Times are Unix milliseconds, shown in local
time.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from quarterdeck.errors import ConfigError

FORMS: Final = "10m (ago), 12:00, 2026-11-24T12:00 (local time) or 2026-11-24T12:00:00Z"
SHORT_FORMS: Final = "10m (ago), 12:00, 2026-11-24T12:00, RFC 3339"
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGO: Final = re.compile(r"(?:\d+(?:ms|[smhdw]))+")
_AMOUNT: Final = re.compile(r"(\d+)(ms|[smhdw])")
_TIME_OF_DAY: Final = re.compile(r"\d\d?:\d\d(?::\d\d(?:\.\d{1,3})?)?")
_VERSION: Final = re.compile(r"\d+")


def moment(text: str, option: str, now: datetime | None = None) -> int:
    """The time that is meant. A time of day is the last one that has passed. Raises: ConfigError naming the option."""
    now = now or datetime.now().astimezone()
    text = text.strip()
    try:
        if _AGO.fullmatch(text):
            ago_ms = sum(int(count) * _UNITS_MS[unit] for count, unit in _AMOUNT.findall(text))
            return max(0, _ms(now) - ago_ms)
        if _TIME_OF_DAY.fullmatch(text):
            return _ms(_last(text, now))
        if not _VERSION.fullmatch(text):
            return _ms(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError, OSError):
        pass
    raise ConfigError(f"{option} {text}: not a time; expected {FORMS}")


def point(text: str, option: str) -> tuple[int | None, int | None]:
    """A version or a time, the other one none. Raises: ConfigError naming the option."""
    if _VERSION.fullmatch(text.strip()):
        return int(text), None
    try:
        return None, moment(text, option)
    except ConfigError:
        raise ConfigError(f"{option} {text}: neither a version nor a time; a time is {FORMS}") from None


def day(at_ms: int) -> str:
    """The date."""
    return _texts(at_ms // 1000)[0]


def clock(at_ms: int) -> str:
    """The time of day, with milliseconds."""
    return f"{_texts(at_ms // 1000)[1]}.{at_ms % 1000:03d}"


def date_and_time(at_ms: int) -> str:
    """Both."""
    return f"{day(at_ms)} {clock(at_ms)}"


def written(at: str) -> int:
    """A time as the launcher writes it, RFC 3339."""
    return _ms(datetime.fromisoformat(at))


def _last(text: str, now: datetime) -> datetime:
    hours, minutes, *seconds = text.split(":")
    second, _, fraction = (seconds[0] if seconds else "0").partition(".")
    at = now.replace(hour=int(hours), minute=int(minutes), second=int(second),
                     microsecond=int(fraction.ljust(6, "0") or 0))  # fmt: skip
    return at if at <= now else at - timedelta(days=1)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


@lru_cache(maxsize=16)
def _texts(second: int) -> tuple[str, str]:
    """The date and the time of day of a second: most events share theirs with the one before."""
    local = datetime.fromtimestamp(second).astimezone()
    return f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}"
