"""Claims: what a client says of itself against what the kernel says of it (protocol, section 9)."""

from __future__ import annotations

from quarterdeck.config import Config
from quarterdeck.core.state import State
from quarterdeck.core.step import Refused
from quarterdeck.schema.commands import Register
from quarterdeck.server.spare import SpareDescriptor
from quarterdeck.transport import Connection, peercred


class Claims:
    """Checks claims of pid and role. Out of descriptors the one kept in reserve is lent to the look-up."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spare = SpareDescriptor()

    def close(self) -> None:
        """Give the reserve back."""
        self._spare.close()

    def check(self, claim: Register, link: Connection) -> tuple[int | None, Refused | None]:
        """The start time of the claimed pid (none where nothing is checked), and what is wrong with the claim."""
        if self._config.pid_check == "off":
            return None, None
        try:
            return self._look(claim, link)
        except OSError:
            with self._spare.lent():
                return self._look(claim, link)

    def _look(self, claim: Register, link: Connection) -> tuple[int | None, Refused | None]:
        peer_pid = link.peer.pid
        start = peercred.start_time(claim.pid)
        if peer_pid is not None and _is_reused(peer_pid, start if peer_pid == claim.pid else None, link.accepted_at):
            what = f"pid {peer_pid}, which connected, has ended, and is another process's by now"
            return start, Refused("pid_mismatch", what, True)
        if peer_pid is not None and peer_pid != claim.pid and not peercred.is_or_descends(claim.pid, peer_pid):
            what = f"pid {claim.pid} is neither the peer, pid {peer_pid}, nor its descendant"
            return start, Refused("pid_mismatch", what, True)
        return start, None

    def check_role(self, claim: Register, state: State, child: str | None) -> Refused | None:
        """What is wrong with the claimed kind, where roles must be proven: a host is our own child of that kind."""
        if self._config.roles != "proven" or claim.kind != "host":
            return None
        if child is not None and state.children[child].plan.kind == "host":
            return None
        return Refused(
            "forbidden", "roles=proven: only the launcher's own child of kind host may register as host", True
        )


def _is_reused(pid: int, start: int | None, accepted_at: int) -> bool:
    """Whether a pid that connected has become another process's: one that started after the connection did."""
    return start > accepted_at if start is not None else peercred.began_after(pid, accepted_at)
