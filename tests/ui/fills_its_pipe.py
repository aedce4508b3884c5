"""Writes numbered lines to standard output for as long as somebody takes them, 64 MiB at most. Then says on standard
error how many bytes that were, and writes as many again.
"""

from __future__ import annotations

import os
import select

BYTES_MAX = 64 << 20
PATIENCE_S = 0.2


def lines_from(number: int) -> bytes:
    """A block of lines."""
    return b"".join(b"%d\n" % each for each in range(number, number + 256))


def main() -> None:
    """Fill it, say so, and go on."""
    os.set_blocking(1, False)
    written, number, rest = 0, 0, b""
    while written < BYTES_MAX and select.select([], [1], [], PATIENCE_S)[1]:
        if not rest:
            number, rest = number + 256, lines_from(number)
        count = os.write(1, rest)
        written, rest = written + count, rest[count:]
    os.write(2, b"%d\n" % written)
    os.set_blocking(1, True)
    write(rest)
    for more in range(number, 2 * number + 256, 256):
        write(lines_from(more))


def write(rest: bytes) -> None:
    """Write all of it."""
    while rest:
        rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    main()
