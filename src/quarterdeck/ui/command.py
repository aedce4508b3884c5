"""Command: a click command whose help ends with examples, and the options that say where the launcher is.

Rules: flags beat the environment, and flags after the command's name beat those before it. What they mean, and what
holds without them, says `place`.
"""

from __future__ import annotations

import functools
import gc
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from quarterdeck.errors import NoLauncher
from quarterdeck.ui import place
from quarterdeck.ui.elsewhere import tell_elsewhere
from quarterdeck.ui.patience import SETTLE_S, Patience

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Address(NamedTuple):
    """Where the launcher is, as far as flags say."""

    endpoint: str | None = None
    data_dir: str | None = None
    config: str | None = None

    @classmethod
    def given(cls, endpoint: str | None, data_dir: str | None, config: str | None) -> Address:
        """What flags say after the command's name, else what they say before it."""
        before = click.get_current_context().find_root().obj
        after = cls(endpoint, data_dir, config)
        return before if after == cls() and isinstance(before, cls) else after

    def options(self) -> dict[str, Any]:
        """The place as keyword arguments of `find_endpoint`. Raises: ConfigError."""
        return place.options_of(*self)

    def terms(self) -> dict[str, Any]:
        """The place, and how long an answer may take, as arguments of `connect_blocking`. Raises: ConfigError."""
        return place.terms_of(*self)

    def launcher_folder(self) -> str | None:
        """The data folder whose launcher is meant; None where an endpoint says which it is. Raises: ConfigError."""
        options = self.options()
        if options["endpoint"] is not None:
            return None
        if options["data_dir"] is None and not os.environ.get("QUARTERDECK_ENDPOINT"):
            from quarterdeck.client import default_data_dir

            return str(default_data_dir())
        folder: str | None = options["data_dir"]
        return folder

    def folder(self) -> str | None:
        """The data folder, None for this user's default one; an endpoint does not say it. Raises: ConfigError."""
        return self.data_dir if self.data_dir is not None else place.folder_of(self.config)


class Command(click.Command):
    """A command with examples at the end of its help: each a command line and what it is for."""

    becomes_launcher = False

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out the command. From now on there may be garbage (`cli`), of which a launcher takes care itself."""
        if not self.becomes_launcher:
            gc.freeze()
            gc.enable()
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are."""
        if self.examples:
            with formatter.section("Examples"):
                for line, purpose in self.examples:
                    formatter.write(f"  {line}\n      {purpose}\n")
        super().format_epilog(ctx, formatter)


def address_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--endpoint`, `--data-dir` and `--config`; its function gets them as `address`. Where no launcher
    is there, but children that one left behind, the error says so.
    """

    @functools.wraps(function)
    def with_address(*args: Any, endpoint: str | None, data_dir: str | None, config: str | None, **kwargs: Any) -> Any:
        address = Address.given(endpoint, data_dir, config)
        if address == Address() and not kwargs.get("as_json"):
            tell_elsewhere()
        try:
            return function(*args, address=address, **kwargs)
        except NoLauncher as error:
            from quarterdeck.ui.survivors import with_survivors

            raise with_survivors(error, address) from None

    return endpoint_option(data_dir_option(config_option(with_address)))


def folder_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that needs no launcher `--data-dir` and `--config`; its function gets the folder as `data_dir`."""

    @functools.wraps(function)
    def with_folder(*args: Any, data_dir: str | None, config: str | None, **kwargs: Any) -> Any:
        return function(*args, data_dir=Address.given(None, data_dir, config).folder(), **kwargs)

    return data_dir_option(config_option(with_folder))


def endpoint_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--endpoint`."""
    text = "The launcher's socket or pipe. [default: QUARTERDECK_ENDPOINT, else found from the data folder]"
    return click.option("--endpoint", metavar="ADDRESS", help=text)(function)


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config`."""
    text = "A quarterdeck.toml, for its data folder. [default: the nearest one, here or above]"
    return click.option("--config", metavar="FILE", help=text)(function)


def data_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--data-dir`."""
    text = "The launcher's data folder. [default: that of the quarterdeck.toml, else this user's]"
    return click.option("--data-dir", metavar="FOLDER", help=text)(function)


def answer_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--answer-within`; its function gets it as `answer_within`."""
    return click.option(
        "--answer-within",
        type=click.FloatRange(min=0.1),
        default=place.answer_s,
        show_default=f"{place.ANSWER_VARIABLE}, else {place.ANSWER_S:g}",
        metavar="SECONDS",
        help="How long a launcher that runs already has to answer.",
    )(function)


def wait_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--wait` and `--no-wait`; its function gets them as `patience`."""

    @functools.wraps(function)
    def with_patience(
        *args: Any, wait_s: float | None, waits: bool, settle_s: float | None = 0.0, **kwargs: Any
    ) -> Any:
        settle_s = SETTLE_S if settle_s is None else settle_s
        return function(*args, patience=Patience(time.monotonic(), waits, wait_s, settle_s), **kwargs)

    wait = click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="SECONDS",
                        help="How long to wait; then exit code 1. [default: as long as it takes]")  # fmt: skip
    no_wait = click.option("--no-wait", "waits", is_flag=True, flag_value=False, default=True, help="Do not wait.")
    return wait(no_wait(with_patience))


def settle_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that starts processes, and `--settle`."""
    return click.option(
        "--settle",
        "settle_s",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long to look on once all are ready, where one of them has nothing better than running to show it; "
        f"exit code 1 if one crashes or is stopped meanwhile. 0: not at all. [default: {SETTLE_S:g}]",
    )(wait_options(function))


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`; its function gets it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, one value a line.")(function)


def kind_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--kind`."""
    kinds = click.Choice(["host", "renderer", "srv", "tool"])
    return click.option("--kind", type=kinds, default="tool", show_default=True, help="What to register as.")(function)
