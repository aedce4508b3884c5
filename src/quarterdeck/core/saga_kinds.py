"""SagaKinds: the sagas that there are in a run, by name, and by the events that begin them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.saga import Saga


class SagaKinds(Struct, frozen=True):
    """The kinds of saga of one run; made by `kinds_of`."""

    by_name: dict[str, type[Saga]]
    by_event: dict[type, tuple[type[Saga], ...]]


def kinds_of(names: Iterable[str], known: Mapping[str, type[Saga]] = BUILTIN_SAGAS) -> SagaKinds:
    """Those of the sagas known that are called so. Raises: KeyError where one is not known."""
    by_name = {name: known[name] for name in names}
    by_event: dict[type, tuple[type[Saga], ...]] = {}
    for kind in by_name.values():
        for event in kind.starts_on:
            by_event[event] = (*by_event.get(event, ()), kind)
    return SagaKinds(by_name, by_event)
