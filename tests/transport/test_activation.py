"""The variables of socket activation; tests/server/test_activation.py passes real sockets."""

from __future__ import annotations

import pytest

from quarterdeck.errors import EndpointRefused
from quarterdeck.transport.activation import PassedSocket, take_passed, the_only

OWN_PID = 4711


def test_nothing_is_left_in_the_environment_whoever_it_was_for() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "a", "LISTEN_PIDFDID": "2", "OTHER": "stays"}
    assert take_passed(environ, OWN_PID) == []
    assert environ == {"OTHER": "stays"}
    assert take_passed(environ, OWN_PID) == []


@pytest.mark.parametrize("count", ["some", "-1", "1.5"])
def test_a_count_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(EndpointRefused, match=f"LISTEN_FDS={count} is not a count of sockets"):
        take_passed({"LISTEN_FDS": count, "LISTEN_PID": str(OWN_PID)}, OWN_PID)


def test_none_passed_is_none() -> None:
    assert take_passed({"LISTEN_FDS": "0", "LISTEN_PID": str(OWN_PID)}, OWN_PID) == []
    assert the_only([], "/s") is None


def test_one_is_it_and_two_are_named() -> None:
    one = PassedSocket(3, "launcher")
    assert the_only([one], "/s") == one
    with pytest.raises(EndpointRefused, match=r"passed 2 sockets \(launcher, descriptor 4\).*ListenStream=/s"):
        the_only([one, PassedSocket(4, "")], "/s")
