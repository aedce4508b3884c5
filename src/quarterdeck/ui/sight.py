"""Sight: who watches the real windows beside the host, since when not, and what that cannot see; in words."""

from __future__ import annotations

from msgspec import Struct

from quarterdeck.schema.replies import Metrics


class Sight(Struct, frozen=True):
    """The launcher's witness. `blind_s`: how long it has not seen its window system, 0 while it does; `unseen`: what it
    never sees.
    """

    witness: str
    blind_s: float
    unseen: list[str]

    def lines(self) -> list[str]:
        """What one has to know to read what is shown of windows; nothing where all is seen."""
        said = []
        if self.blind_s > 0:
            said.append(
                f"the {self.witness} witness has not seen its window system for {self.blind_s:.0f} s: handles, "
                "rectangles, monitors and what is seen are as of then, but for what the host reports"
            )
        if self.unseen:
            said.append(f"the {self.witness} witness does not see {', '.join(self.unseen)}")
        return said


def sight_of(metrics: Metrics) -> Sight | None:
    """The witness as the launcher tells of it, None where it has none."""
    blind = [row for row in metrics.samples if row.name == "quarterdeck_witness_blind_seconds"]
    if not blind:
        return None
    unseen = [row.labels["what"] for row in metrics.samples if row.name == "quarterdeck_witness_unseen"]
    return Sight(blind[0].labels["witness"], float(blind[0].value), unseen)
