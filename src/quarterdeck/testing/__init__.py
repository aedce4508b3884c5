"""Testing: what an application checks its own slices and sagas with.

    from quarterdeck.testing import check_slice
    from counter import Counter

    def test_the_counter_slice() -> None:
        check_slice(Counter)

`SliceHarness` plays a slice by hand, on the launcher's own reducer; `check_slice` plays thousands of inputs and holds
the slice to its rules; it needs hypothesis (the extra `testing`). `SagaHarness` plays a saga,
and `FakeClock` is a clock that a test turns.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from quarterdeck.drivers.fake import FakeClock
    from quarterdeck.testing.harness import SliceHarness
    from quarterdeck.testing.properties import check_slice
    from quarterdeck.testing.sagas import SagaHarness

_HOMES: Final = {
    "FakeClock": "quarterdeck.drivers.fake",
    "SagaHarness": "quarterdeck.testing.sagas",
    "SliceHarness": "quarterdeck.testing.harness",
    "check_slice": "quarterdeck.testing.properties",
}

__all__ = ["FakeClock", "SagaHarness", "SliceHarness", "check_slice"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ImportError("check_slice needs hypothesis: pip install 'quarterdeck[testing]'") from None


def __dir__() -> list[str]:
    return __all__
