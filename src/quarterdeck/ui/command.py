"""Command: a click command whose help ends with examples, and the options that say where the launcher is.

Rules: flags beat the environment, and flags after the command's name beat those before it. An endpoint beats a data
folder.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Address(NamedTuple):
    """Where the launcher is, as far as flags say: the client decides the rest (protocol, section 9)."""

    endpoint: str | None
    data_dir: str | None

    def options(self) -> dict[str, Any]:
        """The same as keyword arguments of `connect`, `connect_blocking` and `find_endpoint`."""
        return self._asdict()


class Command(click.Command):
    """A command with examples at the end of its help: each a command line and what it is for."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are."""
        if self.examples:
            with formatter.section("Examples"):
                for line, purpose in self.examples:
                    formatter.write(f"  {line}\n      {purpose}\n")
        super().format_epilog(ctx, formatter)


def address_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--endpoint` and `--data-dir`; its function gets them as `address`."""

    @functools.wraps(function)
    def with_address(*args: Any, endpoint: str | None, data_dir: str | None, **kwargs: Any) -> Any:
        before = click.get_current_context().find_root().obj
        given = Address(endpoint, data_dir)
        address = before if given == (None, None) and isinstance(before, Address) else given
        return function(*args, address=address, **kwargs)

    return endpoint_option(data_dir_option(with_address))


def folder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that needs no launcher `--data-dir`; its function gets it as `data_dir`."""

    @functools.wraps(function)
    def with_folder(*args: Any, data_dir: str | None, **kwargs: Any) -> Any:
        before = click.get_current_context().find_root().obj
        given = before.data_dir if data_dir is None and isinstance(before, Address) else data_dir
        return function(*args, data_dir=given, **kwargs)

    return data_dir_option(with_folder)


def endpoint_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--endpoint`."""
    text = "The launcher's socket or pipe. [default: QUARTERDECK_ENDPOINT, else found from the data folder]"
    return click.option("--endpoint", metavar="ADDRESS", help=text)(function)


def data_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--data-dir`."""
    return click.option("--data-dir", metavar="FOLDER", help="The launcher's data folder.")(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`; its function gets it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one value a line.")(function)


def kind_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--kind`."""
    kinds = click.Choice(["host", "renderer", "srv", "tool"])
    return click.option("--kind", type=kinds, default="tool", show_default=True, help="What to register as.")(function)
