"""Pace: how fast one connection may go: so many commands and bytes a second, of which one second's worth is saved up.

Whoever is faster is not read until his average is right again: nothing is lost, his own writes wait, and so do his
commands that came already. (That others have their turn does not hang on it: see `COMMANDS_AT_ONCE` in engine.py.)
"""

from __future__ import annotations


class Pace:
    """What one connection has left; a rate of 0 sets no bound. Times are of a clock that only goes forward."""

    __slots__ = ("_bytes", "_commands", "bound")

    def __init__(self, commands_per_second: int, bytes_per_second: int, now: float) -> None:
        self.bound = ""  # the limit that it was last held to, in words
        self._commands = _Allowance(commands_per_second, now)
        self._bytes = _Allowance(bytes_per_second, now)

    def rest_s(self, commands: int, received_bytes: int, now: float) -> float:
        """How long it is to rest that has sent so much in all, 0 where it need not."""
        for_commands, for_bytes = self._commands.rest_s(commands, now), self._bytes.rest_s(received_bytes, now)
        if for_commands > for_bytes:
            self.bound = f"limits.commands_per_second is {self._commands.rate}"
        elif for_bytes:
            self.bound = f"limits.bytes_per_second is {self._bytes.rate}"
        return max(for_commands, for_bytes)


class _Allowance:
    __slots__ = ("_at", "_left", "_spent", "rate")

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._left = float(rate)
        self._spent = 0
        self._at = now

    def rest_s(self, spent: int, now: float) -> float:
        if not self.rate:
            return 0.0
        saved = min(self.rate, self._left + (now - self._at) * self.rate)
        self._left = saved - (spent - self._spent)
        self._spent, self._at = spent, now
        return max(0.0, -self._left / self.rate)
