"""/metrics as a scraper gets it, and as everybody else does not: over real connections to a real launcher."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from quarterdeck.config import Config, Limits
from quarterdeck.errors import ConfigError
from quarterdeck.server.scrapes import Scrapes, bound_socket
from tests.server.conftest import Launch
from tests.server.launched import Launched, serve_command, short_folder
from tests.server.metered import read
from tests.server.raw import publish

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def served(launch: Launch) -> Served:
    return Served(launch)


class Served:
    """A launcher that serves metrics, once it is called; and requests to it."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self.port = free_port()
        self.launched: Launched

    def __call__(self, **settings: Any) -> Launched:
        self.launched = self._launch(metrics_port=self.port, **settings)
        return self.launched

    @property
    def token(self) -> str:
        return (self.launched.folder / "metrics.token").read_text().strip()

    def ask(
        self, method: str = "GET", path: str = "/metrics", *, token: str | None = "", **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        """One request, with the right token unless it is another or None."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response, text

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=40)

    def raw(self, head: bytes) -> bytes:
        """What bytes are answered, up to the end of file."""
        with self.connect() as sock:
            sock.sendall(head)
            return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_scraper_gets_what_the_protocol_tells_and_more_of_each(served: Served, loop: str) -> None:
    client = served(loop=loop).quiet()
    client.send(publish(1), publish(2))
    told = read(client)
    response, text = served.ask()
    assert response.status == 200
    assert response.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(text)}
    names = {sample.name for family in families.values() for sample in family.samples}
    assert names == told.names
    assert families["quarterdeck_events"].type == "counter"
    assert families["quarterdeck_turn_seconds"].type == "histogram"
    assert [s.value for s in families["quarterdeck_events"].samples if s.labels == {"event": "published"}] == [2.0]
    assert all(family.documentation for family in families.values())


def test_who_asks_for_openmetrics_gets_that(served: Served) -> None:
    served()
    response, text = served.ask(Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert str(response.getheader("Content-Type")).startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    parsed = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs
    families = {family.name for family in parsed}
    assert {"quarterdeck_connections_open", "process_resident_memory_bytes"} <= families


@pytest.mark.parametrize("token", [None, "wrong", "Bearer", "\u00e4" * 43])
def test_without_the_token_nothing_is_told(served: Served, token: str | None) -> None:
    served()
    response, text = served.ask(token=token)
    assert (response.status, response.getheader("WWW-Authenticate")) == (401, 'Bearer realm="quarterdeck"')
    assert "quarterdeck_" not in text
    assert served.token not in text


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example:80", "", "[::1]", "localhost@x"])
def test_a_name_that_was_bound_to_this_machine_for_a_browser_is_no_host(served: Served, host: str) -> None:
    served()
    response, text = served.ask(Host=host)
    assert response.status == 421
    assert "quarterdeck_" not in text


def test_this_machine_has_these_names(served: Served) -> None:
    served()
    for host in ("localhost", "LOCALHOST:1", f"127.0.0.1:{served.port}", "127.0.0.1"):
        assert served.ask(Host=host)[0].status == 200


def test_only_one_thing_can_be_asked_for(served: Served) -> None:
    served()
    assert served.ask(path="/")[0].status == 404
    assert served.ask(path="/metrics?name=x")[0].status == 200
    response, _ = served.ask("POST")
    assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD")
    response, text = served.ask("HEAD")
    assert (response.status, text) == (200, "")
    assert int(response.getheader("Content-Length") or 0) > 1000


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /metrics HTTP/2",
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\nx",
        b"GET / HTTP/1.1\r\nHost : localhost",
    ],
)
def test_what_is_no_request_is_told_so(served: Served, head: bytes) -> None:
    served()
    assert served.raw(head + b"\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_head_that_is_too_long_is_refused(served: Served) -> None:
    served(metrics_request_bytes=500)
    assert served.raw(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 600 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert served.raw(b"x" * 3000).startswith(b"HTTP/1.1 431 ")


def test_who_says_nothing_is_cut_off_and_holds_up_nobody(served: Served) -> None:
    launched = served(metrics_timeout=0.3)
    client = launched.quiet()
    with served.connect() as silent, served.connect() as slow:
        slow.sendall(b"GET /metr")
        client.ping()
        assert served.ask()[0].status == 200
        for sock in (silent, slow):
            assert _ends(sock)


def test_one_too_many_at_once_is_cut_off(served: Served) -> None:
    served(metrics_connections=2)
    with served.connect() as first, served.connect() as second:
        for sock in (first, second):
            sock.sendall(b"GET")
        with served.connect() as third:
            assert _ends(third)
    # Both are gone: there is room again, as soon as the launcher has seen that.
    while True:
        try:
            assert served.ask()[0].status == 200
            return
        except (ConnectionError, http.client.HTTPException):
            continue


def _ends(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_it_listens_at_the_loopback_and_nowhere_else(served: Served) -> None:
    launched = served()
    rows = [line.split() for line in Path(f"/proc/{launched.pid}/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{served.port:04X}")}
    assert listening == {f"0100007F:{served.port:04X}"}
    ipv6 = Path(f"/proc/{launched.pid}/net/tcp6")
    assert not ipv6.exists() or f":{served.port:04X} " not in ipv6.read_text()


def test_it_is_off_unless_it_is_asked_for(launch: Launch) -> None:
    launched = launch()
    inodes = {row.split()[9] for row in Path(f"/proc/{launched.pid}/net/tcp").read_text().splitlines()[1:]}
    held = {os.readlink(f"/proc/{launched.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{launched.pid}/fd")}
    assert not held & {f"socket:[{inode}]" for inode in inodes}
    assert not (launched.folder / "metrics.token").exists()


def test_the_token_stays_the_same_and_is_this_users(served: Served) -> None:
    launched = served()
    path = launched.folder / "metrics.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert launched.end() == 0
    token = path.read_text()
    again = served(folder=launched.folder)
    assert served.ask()[0].status == 200
    assert (again.folder / "metrics.token").read_text() == token
    assert again.log.read_text().count("metrics are at http://127.0.0.1:") == 2


@pytest.fixture
def folder() -> Iterator[Path]:
    import shutil

    path = short_folder()
    yield path
    shutil.rmtree(path)


def test_a_port_that_is_taken_is_one_line_and_nothing_is_left_behind(folder: Path) -> None:
    with bound_socket(0) as taken:
        port = taken.getsockname()[1]
        command = serve_command(folder, {"metrics_port": port})
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"quarterdeck: metrics_port={port}: cannot listen at 127.0.0.1: Address already in use; choose another port\n"
    )
    assert not (folder / "s.sock").exists()
    assert not (folder / "journal.sqlite3").exists()
    Launched({}, folder).put_away()  # neither lock is held


@as_root
def test_another_user_gets_nothing_unless_everybody_may(served: Served) -> None:
    launched = served()
    launched.folder.chmod(0o755)  # even so
    program = (
        f"import os, socket; os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        f"try: print(open({str(launched.folder / 'metrics.token')!r}).read())\n"
        "except PermissionError: print('refused')\n"
        f"c = socket.socket(); c.connect(('127.0.0.1', {served.port}))\n"
        "c.sendall(b'GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')\n"
        "said = b''.join(iter(lambda: c.recv(65536), b'')); print(said.split()[1].decode(), b'quarterdeck_' in said)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused", "401", "False"], done.stderr
    launched.folder.chmod(0o700)
    assert launched.end() == 0
    served(folder=launched.folder, metrics_token="none")
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused", "200", "True"]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'quarterdeck\[metrics\]'"):
        Scrapes.prepare(Config(metrics_port=free_port(), limits=Limits()), tmp_path)
