"""Which processes a name means."""

from __future__ import annotations

import pytest

from quarterdeck.ui.exits import Failure
from quarterdeck.ui.naming import is_meant, meant

KNOWN = ("db", "web", "web-2", "worker-1", "worker-2", "worker-10", "worker-x")


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["db"], ["db"]),
        (["web"], ["web"]),  # its own name, and not those that are called as its replicas would be
        (["worker"], ["worker-1", "worker-2", "worker-10"]),
        (["worker-2", "db", "db"], ["db", "worker-2"]),
        (["w*"], list(KNOWN[1:])),
        ([], []),
    ],
)
def test_a_name_means_a_process_or_its_replicas_or_what_matches(patterns: list[str], found: list[str]) -> None:
    assert list(meant(patterns, KNOWN)) == found


@pytest.mark.parametrize("pattern", ["dbs", "work", "x*", "DB", "worker-"])
def test_one_that_means_none_is_wrong_usage(pattern: str) -> None:
    with pytest.raises(Failure, match=r"no process is called .*; there are: db, web") as caught:
        meant(["db", pattern], KNOWN)
    assert caught.value.code == 2


def test_a_replica_is_told_by_its_number() -> None:
    assert is_meant("worker-3", "worker")
    assert not is_meant("worker-x", "worker")
    assert not is_meant("worker", "worker-1")
