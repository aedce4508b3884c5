"""Scrapes: `/metrics` over HTTP, for Prometheus and whoever reads its format. Off unless a port is given.

Rules: it listens at 127.0.0.1 and nowhere else. That keeps other machines out, but neither the other users of this one
nor a web page that makes this user's browser ask: so a request must name this machine as its host, and bring the token
of a file that only this user can read (RFC 6750). It is served on the engine's loop, so that a reading is of one
moment; whoever is slow waits alone. A request, its time and how many there are at once are bounded, and each connection
answers one.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quarterdeck.config import Config, Limits
from quarterdeck.errors import ConfigError
from quarterdeck.server.metrics import read_all
from quarterdeck.server.token import token_of

if TYPE_CHECKING:
    from quarterdeck.server.engine import Engine

log = logging.getLogger("quarterdeck.server")

ADDRESS: Final = "127.0.0.1"
HOSTS: Final = frozenset({ADDRESS, "localhost"})
PATH: Final = "/metrics"
TOKEN_NAME: Final = "metrics.token"
BACKLOG: Final = 16


class Page(NamedTuple):
    """What an exposition is: its bytes and their media type."""

    body: bytes
    media_type: str


class Request(NamedTuple):
    """The head of a request; header names in small letters, the last one of a name counts."""

    method: str
    target: str
    headers: dict[str, str]


class NoRequest(Exception):
    """Raised where a head is none of a request of HTTP/1; the text says what was expected."""


class Answer(NamedTuple):
    """A status, and a page or why there is none."""

    status: HTTPStatus
    page: Page
    headers: tuple[str, ...] = ()


def bound_socket(port: int) -> socket.socket:
    """A socket that listens. Raises: ConfigError where the port is taken or not ours to take."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # those of an earlier run may still be closing
        listener.bind((ADDRESS, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        what = f"metrics_port={port}: cannot listen at {ADDRESS}: {error.strerror}; choose another port"
        raise ConfigError(what) from error
    return listener


class Scrapes:
    """Answers requests for the metrics. `token` None: whoever can connect may read."""

    def __init__(self, listener: socket.socket, token: str | None, limits: Limits) -> None:
        self._listener = listener
        self._token = token
        self._limits = limits
        self._render: Callable[[str], Page] = _nothing_yet
        self._answering: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    def prepare(cls, config: Config, folder: Path) -> Scrapes:
        """Take the port, and all else that may not be had. Raises: ConfigError."""
        _library()
        path = folder / TOKEN_NAME
        token = token_of(path) if config.metrics_token == "required" else None
        scrapes = cls(bound_socket(config.metrics_port), token, config.limits)
        how = f"for who brings the token in {path}" if token is not None else "for every user of this machine"
        log.info("metrics are at http://%s:%d%s, %s", ADDRESS, config.metrics_port, PATH, how)
        return scrapes

    async def start(self, engine: Engine) -> None:
        """Answer from now on, with the figures of this engine."""
        self._render = exposition_of(engine)
        limit = self._limits.metrics_request_bytes
        self._server = await asyncio.start_server(self._serve, sock=self._listener, limit=limit)

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for task in self._answering:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._answering) >= self._limits.metrics_connections:
            writer.transport.abort()
            return
        self._answering.add(task)
        try:
            async with asyncio.timeout(self._limits.metrics_timeout):
                await self._converse(reader, writer)
        except (TimeoutError, OSError):
            writer.transport.abort()
        finally:
            writer.close()
            self._answering.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_body = True
        try:
            request = _parsed(await reader.readuntil(b"\r\n\r\n"))
            with_body = request.method != "HEAD"
            answer = self.answer(request)
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            answer = _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too long")
        except NoRequest as error:
            answer = _refused(HTTPStatus.BAD_REQUEST, str(error))
        writer.write(_rendered(answer, with_body=with_body))
        await writer.drain()

    def answer(self, request: Request) -> Answer:
        """What a request is answered: first whether it may ask at all, then what it asks for."""
        if _host_of(request.headers.get("host", "")) not in HOSTS:
            what = f"the Host header names another machine than {ADDRESS} or localhost"
            return _refused(HTTPStatus.MISDIRECTED_REQUEST, what)
        if self._token is not None and not _is_bearer(request.headers.get("authorization", ""), self._token):
            what = "the token of the data folder's metrics.token is needed: Authorization: Bearer TOKEN"
            return _refused(HTTPStatus.UNAUTHORIZED, what, 'WWW-Authenticate: Bearer realm="quarterdeck"')
        if request.target.partition("?")[0] != PATH:
            return _refused(HTTPStatus.NOT_FOUND, f"there is only {PATH}")
        if request.method not in ("GET", "HEAD"):
            return _refused(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD", "Allow: GET, HEAD")
        return Answer(HTTPStatus.OK, self._render(request.headers.get("accept", "")))


def _parsed(head: bytes) -> Request:
    """Raises: NoRequest."""
    line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise NoRequest("expected METHOD TARGET HTTP/1.1")
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not name or name != name.strip():
            raise NoRequest("expected header fields as NAME: VALUE")
        headers[name.lower()] = value.strip()
    return Request(parts[0], parts[1], headers)


def _host_of(host: str) -> str:
    """The host without its port, in small letters."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _is_bearer(given: str, token: str) -> bool:
    scheme, _, credentials = given.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode(), token.encode())


def _refused(status: HTTPStatus, why: str, *headers: str) -> Answer:
    return Answer(status, Page(f"{why}\n".encode(), "text/plain; charset=utf-8"), headers)


def _rendered(answer: Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.page.media_type}",
        f"Content-Length: {len(answer.page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *answer.headers,
    )
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + (answer.page.body if with_body else b"")


def exposition_of(engine: Engine) -> Callable[[str], Page]:
    """The metrics in the format that a scraper accepts, by prometheus-client."""
    from prometheus_client import Metric as Family
    from prometheus_client.exposition import choose_encoder

    class Families:
        """What the encoder asks."""

        def collect(self) -> Iterator[Family]:
            """Every metric as it is now."""
            for metric, samples in read_all(engine):
                family = Family(metric.name.removesuffix("_total"), metric.what, metric.type, metric.unit)
                for sample in samples:
                    family.add_sample(sample.name, sample.labels, sample.value)
                yield family

    def render(accept: str) -> Page:
        encode, media_type = choose_encoder(accept)
        return Page(encode(Families()), media_type)

    return render


def _library() -> None:
    """Raises: ConfigError where prometheus-client is not installed."""
    try:
        import prometheus_client  # noqa: F401 - imported again where it is used
    except ImportError as error:
        what = "metrics_port: prometheus-client is not installed: pip install 'quarterdeck[metrics]'"
        raise ConfigError(what) from error


def _nothing_yet(accept: str) -> Page:
    """Before there is anything to tell."""
    return Page(b"", "text/plain; charset=utf-8")
