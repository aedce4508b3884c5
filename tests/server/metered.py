"""Metered: what a real launcher says of itself, by `get_metrics`."""

from __future__ import annotations

from typing import Any

from tests.server.raw import Line, Raw


class Reading:
    """One `metrics` reply."""

    def __init__(self, reply: Line) -> None:
        self.reply = reply
        self._values = {(row["name"], *sorted(row["labels"].items())): row["value"] for row in reply["samples"]}

    def __call__(self, name: str, **labels: str) -> Any:
        """The value of a sample, without the prefix that all have; 0 where there is none yet."""
        return self._values.get((f"quarterdeck_{name}", *sorted(labels.items())), 0)

    def of(self, name: str) -> dict[str, Any]:
        """The values of a metric by its only label."""
        rows = [row for row in self.reply["samples"] if row["name"] == f"quarterdeck_{name}"]
        return {value: row["value"] for row in rows for value in row["labels"].values()}

    @property
    def names(self) -> set[str]:
        return {row["name"] for row in self.reply["samples"]}

    def connection(self, pid: int) -> Line:
        """The row of a client."""
        rows: list[Line] = [row for row in self.reply["connections"] if row["pid"] == pid]
        assert len(rows) == 1
        return rows[0]


def read(client: Raw) -> Reading:
    """Ask now."""
    client.send({"cmd": "get_metrics", "id": "m"})
    return Reading(client.until(event="metrics", id="m")[-1])
