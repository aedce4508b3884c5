"""What a launcher makes of a hang-up."""

from __future__ import annotations

import signal

from tests.server.conftest import Launch
from tests.server.raw import names


def test_without_a_configuration_to_read_a_hang_up_is_a_quit(launch: Launch) -> None:
    launched = launch()
    client = launched.join()
    client.ping()
    launched.process.send_signal(signal.SIGHUP)
    assert names(client.rest()) == ["lifecycle_phase_changed", "shutdown", "lifecycle_phase_changed"]
    assert launched.wait() == 0
