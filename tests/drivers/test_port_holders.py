"""Whose a port is: real sockets, in this process and in others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from quarterdeck.drivers.port_holders import listening, stranger_at

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")])
def test_a_port_is_a_stranger_s_who_had_it_before_or_another_child_s(family: socket.AddressFamily, host: str) -> None:
    child = subprocess.Popen(["sleep", "10000"], start_new_session=True)
    try:
        with socket.create_server((host, 0), family=family) as server:
            port = server.getsockname()[1]
            had = listening(port)
            assert len(had) == 1
            said = stranger_at(port, had, child.pid)
            assert said is not None
            assert said.startswith(f"port {port} is held by pid {os.getpid()} (")
            assert stranger_at(port, had, os.getpid()) is None  # its own
            assert stranger_at(port, (), child.pid) is None  # came since, for all we know on its behalf
            assert stranger_at(port, (), child.pid, [os.getpid()]) == said  # another child's
            assert stranger_at(port, (), child.pid, [child.pid]) is None
        assert listening(port) == frozenset()
        assert stranger_at(port, had, child.pid) is None
    finally:
        child.kill()
        child.wait()


def test_a_port_of_ip_version_6_is_seen_and_one_of_another_address_is_not() -> None:
    with socket.create_server(("127.0.0.2", 0)) as elsewhere:
        assert listening(elsewhere.getsockname()[1]) == frozenset()
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            assert len(listening(server.getsockname()[1])) == 1
    except OSError:
        pytest.skip("this machine has no IPv6")
