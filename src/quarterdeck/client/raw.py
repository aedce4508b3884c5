"""Raw lines: send them as they are over a blocking client, and give back every line as it came.

Rules: a ping of ours at the end is the fence (protocol, section 2): its pong says that everything before was answered.
It has an id that nobody else would choose. Lines go out as they are given, so that a person at a terminal sees each
answer before the next line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from quarterdeck.client.session import Phase
from quarterdeck.errors import ConnectionLost, Timeout
from quarterdeck.schema.commands import Goodbye, Ping
from quarterdeck.schema.replies import Pong
from quarterdeck.wire.codec import CommandDecoder, encode_line
from quarterdeck.wire.lines import LineBuffer

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient

_FENCE = "quarterdeck-fence"


def exchange(client: BlockingClient, lines: Iterable[bytes]) -> Iterator[bytes]:
    """What `BlockingClient.request_lines` yields. Raises: as there."""
    raw = _Exchange(client)
    client._tap = raw.tapped
    client._session.keeps_errors = False  # they are among the lines
    try:
        for line in lines:
            yield from raw.send(line)
        yield from raw.finish()
    finally:
        client._tap = None
        client._session.keeps_errors = True


class _Exchange:
    """One such exchange, over one connection."""

    def __init__(self, client: BlockingClient) -> None:
        self.tapped: list[bytes] = []
        self._client = client
        self._lines = LineBuffer(None)
        self._is_leaving = False
        self._is_answered = False
        self._connect()
        self._link = client._link

    @property
    def _is_over(self) -> bool:
        return self._client._link is not self._link

    def _connect(self) -> None:
        deadline = self._deadline()
        while self._client._session.phase is not Phase.READY:
            self._turn(deadline)
            if self._client._session.error is not None:
                raise self._client._session.error

    def send(self, line: bytes) -> Iterator[bytes]:
        """Write a line, and give what came meanwhile."""
        self._is_leaving = self._is_leaving or _is_goodbye(line)
        self._write(line if line.endswith(b"\n") else line + b"\n")
        self._client._turn(0.0)  # at most look: its deadline has passed
        yield from self._take()

    def finish(self) -> Iterator[bytes]:
        """Write the fence, and give what comes until it is answered."""
        if not self._is_leaving:
            self._write(encode_line(Ping(nonce=0, id=_FENCE)))
        while not self._is_answered and not self._is_over:
            self._turn(self._deadline())
            yield from self._take()
        fatal = self._client._session.fatal
        if not self._is_answered and not self._is_leaving and fatal is None:
            raise ConnectionLost("the connection ended before all lines were answered")

    def _write(self, content: bytes) -> None:
        if self._link is None or self._is_over:
            return
        self._link.write(content)
        deadline = self._deadline()
        while not self._link.is_written and not self._is_over:
            self._turn(deadline)

    def _turn(self, deadline: float | None) -> None:
        if not self._client._turn(deadline):
            raise Timeout(f"no answer within {self._client._session.terms.timeout_s:g} s")

    def _deadline(self) -> float | None:
        return self._client._deadline(self._client._session.terms.timeout_s)

    def _take(self) -> Iterator[bytes]:
        received = b"".join(self.tapped)
        self.tapped.clear()
        for block in self._lines.feed(received):
            assert isinstance(block, bytes)  # without a limit no line is too long
            for line in block.splitlines(keepends=True):
                if self._is_fence(line):
                    self._is_answered = True
                else:
                    yield line

    def _is_fence(self, line: bytes) -> bool:
        if _FENCE.encode() not in line:
            return False
        value = self._client._session.value_of(line)
        return isinstance(value, Pong) and value.id == _FENCE


def _is_goodbye(line: bytes) -> bool:
    return b"goodbye" in line and any(isinstance(each, Goodbye) for each in CommandDecoder().decode(line))
