"""SagaKinds: the sagas that there are in a run, by name, and by the events that begin them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from quarterdeck.core.builtin_sagas import BUILTIN_SAGAS
from quarterdeck.core.saga import Saga


class SagaKinds(Struct, frozen=True):
    """The kinds of saga of one run; made by `kinds_of`."""

    by_name: dict[str, type[Saga]]
    by_event: dict[type, tuple[type[Saga], ...]]


NO_SAGAS: Final[Mapping[str, type[Saga]]] = {}


def kinds_of(names: Iterable[str], own: Mapping[str, type[Saga]] = NO_SAGAS) -> SagaKinds:
    """Those that are called so, of the launcher's own and of an application's `own`. One that is neither is left out:
    the state of a run may be looked at without its application's sagas.
    """
    known = {**BUILTIN_SAGAS, **own}
    by_name = {name: known[name] for name in names if name in known}
    by_event: dict[type, tuple[type[Saga], ...]] = {}
    for kind in by_name.values():
        for event in kind.starts_on:
            by_event[event] = (*by_event.get(event, ()), kind)
    return SagaKinds(by_name, by_event)
