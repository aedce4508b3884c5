"""The notify socket: what is taken from the environment, and datagrams that always find their way or are given up."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quarterdeck.server.notify import NotifySocket
from tests.server.systemd import Systemd

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

OWN_PID = 4711


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd.in_folder(tmp_path)
    yield systemd
    systemd.close()


@pytest.fixture
def notify(systemd: Systemd) -> Iterator[NotifySocket]:
    notify = NotifySocket(systemd.address, None)
    yield notify
    notify.close()


def taken(**environ: str) -> NotifySocket | None:
    """What is made of an environment; nothing of it may be left."""
    found = NotifySocket.take(environ, OWN_PID)
    assert environ == {}
    if found is not None:
        found.close()
    return found


def watchdog_s(**environ: str) -> float | None:
    found = taken(NOTIFY_SOCKET="/run/notify", **environ)
    assert found is not None
    return found.watchdog_s


def test_without_a_socket_nobody_is_told() -> None:
    assert taken() is None
    assert taken(NOTIFY_SOCKET="", WATCHDOG_USEC="1000000") is None


def test_a_watchdog_is_for_the_process_that_it_names() -> None:
    assert watchdog_s() is None
    assert watchdog_s(WATCHDOG_USEC="1500000") == 1.5
    assert watchdog_s(WATCHDOG_USEC="1500000", WATCHDOG_PID=str(OWN_PID)) == 1.5
    assert watchdog_s(WATCHDOG_USEC="1500000", WATCHDOG_PID="1") is None


@pytest.mark.parametrize("usec", ["0", "-1", "soon", "1.5"])
def test_a_watchdog_time_that_is_none_is_told_and_passed_over(usec: str, caplog: pytest.LogCaptureFixture) -> None:
    assert watchdog_s(WATCHDOG_USEC=usec) is None
    assert f"WATCHDOG_USEC={usec} is not a count of microseconds" in caplog.text


def test_an_address_of_another_kind_is_told_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    assert taken(NOTIFY_SOCKET="vsock:2:1234") is None
    assert "vsock:2:1234 is neither a path nor an abstract name" in caplog.text


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_datagram_arrives_whole(kind: str, tmp_path: Path) -> None:
    systemd = Systemd(f"@quarterdeck-test{tmp_path}" if kind == "abstract" else str(tmp_path / "notify"))
    notify = NotifySocket(systemd.address, None)
    assert notify.send("READY=1\nSTATUS=a = b")
    assert systemd.next() == {"READY": "1", "STATUS": "a = b"}
    notify.close()
    systemd.close()


def test_what_systemd_has_no_room_for_is_to_be_sent_again(systemd: Systemd, notify: NotifySocket) -> None:
    sent = 0
    while notify.send(f"STATUS={sent}"):
        sent += 1
    assert sent > 0
    for number in range(sent):
        assert systemd.next() == {"STATUS": str(number)}
    assert notify.send("READY=1")
    assert systemd.next() == {"READY": "1"}


def test_where_nobody_listens_it_is_said_once(
    systemd: Systemd, notify: NotifySocket, caplog: pytest.LogCaptureFixture
) -> None:
    systemd.close()
    with caplog.at_level(logging.WARNING):
        assert notify.send("READY=1")
        assert notify.send("STOPPING=1")
    assert caplog.text.count("systemd cannot be told how we fare") == 1
