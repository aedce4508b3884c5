"""The option `--slice` of the commands that run or read slices, and the note where one is lacking."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.slices.slice import Slice


FROM_FILE: Final = "[default: those of the launcher's quarterdeck.toml]"
"""Of commands that look at what a launcher told (`at_hand`)."""


def slice_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--slice`; its function gets the classes as `slices`. Modules are looked for here, too."""

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_slices(*args: Any, slices: tuple[str, ...], **kwargs: Any) -> Any:
            return function(*args, slices=_loaded(slices), **kwargs)

        option = click.option("--slice", "slices", metavar="MODULE:NAME", multiple=True, help=what)
        return option(with_slices)

    return decorated


def tell_lacking(lacking: Iterable[str]) -> None:
    """Note, beside the output, what is not shown for want of a slice."""
    for what in lacking:
        click.echo(f"quarterdeck: not shown: {safe(what)}", err=True)


def _loaded(names: tuple[str, ...]) -> tuple[type[Slice[Any]], ...]:
    if not names:
        return ()
    from pathlib import Path

    from quarterdeck.server.loading import load
    from quarterdeck.slices.slice import Slice

    base: Any = Slice  # abstract, as mypy would not have it
    return tuple([load("--slice", name, base, Path.cwd()) for name in names])
