"""quarterdeck watch: the stream of events, live.

Rules: each line is flushed when it is shown. What was missed is told, never passed over: a lag with its range,
another run of the launcher with its id. The launcher may go and come back meanwhile: the client resumes from its
cursor.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.errors import ConfigError, Timeout
from quarterdeck.ui.at_hand import slices_of_launcher, warn_without
from quarterdeck.ui.command import Address, Command, address_options
from quarterdeck.ui.doubts import doubts_as_lines
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.looking_back import since_option
from quarterdeck.ui.screen import Screen, standard_output
from quarterdeck.ui.slicing import FROM_FILE, slice_option

if TYPE_CHECKING:
    from quarterdeck.client import Told
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.slices.slice import Slice

EXAMPLES = (
    ("quarterdeck watch", "Everything, from now on, until Ctrl-C."),
    ("quarterdeck watch 'process_*' published", "Only what matches a name or a pattern."),
    ("quarterdeck watch --since 0 --for 1", "What this run has told so far, as far back as it is held."),
    (
        "quarterdeck watch --since 5m 'child_*'",
        "Of processes: what the last five minutes brought, and what comes.",
    ),
    ("quarterdeck watch --json --count 1 'process_exited'", "Wait for the next process that leaves."),
)


@click.command("watch", cls=Command, examples=EXAMPLES)
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@since_option
@click.option("--run", metavar="RUN_ID", help="The run that the version V is of. [default: the one that runs now]")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option("--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as the line of JSON that it is.")
@slice_option(f"A slice that the launcher runs: its events as it says them. {FROM_FILE}")
@address_options
def command(
    address: Address,
    globs: tuple[str, ...],
    since: str | None,
    run: str | None,
    count: int | None,
    seconds: float | None,
    as_json: bool,
    slices: tuple[type[Slice[Any]], ...],
) -> None:
    """Print events as they happen: one sentence each, behind its version; with --json one line of JSON each.

    GLOB is an event's name or a pattern with `*`; without one, every event. A name that no event has is refused; of a
    pattern that fits none a line on standard error warns. It ends by Ctrl-C or SIGTERM (exit code 0), --count or --for.
    A time of --since is looked up in the launcher's journal; what other runs told, quarterdeck events shows. Lines of
    JSON are the protocol's own; only "lagged" and "run_changed" tell of this connection.
    """
    show = _Lines(standard_output(), as_json)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be told to end is no crash: it says goodbye
    try:
        with doubts_as_lines():
            client = _connected(address, globs or ("*",), since, run, slices, as_json)
        with client:
            for event in _limited(client, count, seconds):
                show(event)
    except KeyboardInterrupt:
        return


def _connected(
    address: Address,
    globs: tuple[str, ...],
    since: str | None,
    run: str | None,
    slices: tuple[type[Slice[Any]], ...],
    as_json: bool,
) -> BlockingClient:
    from quarterdeck.client import Cursor
    from quarterdeck.ui.looking_back import version_of
    from quarterdeck.ui.moments import point

    version, _ = (None, None) if since is None else point(since, "--since")
    if run is not None and version is None:
        raise click.UsageError("--run says what the version of --since counts: give both")
    at_hand = () if slices or as_json else slices_of_launcher(address)  # lines of JSON are the same without
    if since is None or (run is not None and version is not None):
        cursor = None if run is None or version is None else Cursor(run, version)
        return _registered(address, slices, at_hand, events=globs, since=cursor)
    client = _registered(address, slices, at_hand, events=())
    client.subscribe(*globs, since=Cursor(client.run_id, version_of(since, client.run_id, _folder(client, address))))
    return client


def _registered(
    address: Address, slices: tuple[type[Slice[Any]], ...], at_hand: tuple[type[Slice[Any]], ...], **options: Any
) -> BlockingClient:
    """A client with the slices given; else with those at hand, if the launcher runs them as they are there."""
    from quarterdeck.client import connect_blocking

    options = {"kind": "tool", "name": "watch", **options, **address.terms()}
    try:
        return connect_blocking(slices=slices or at_hand, **options)
    except ConfigError as error:
        if not at_hand:
            raise
        warn_without(error)
        return connect_blocking(**options)


def _folder(client: BlockingClient, address: Address) -> str | None:
    """The data folder of the launcher that answers; where its lock does not say it, the one that is meant."""
    from quarterdeck.client import current_holder_at

    holder = current_holder_at(client.endpoint)
    return address.launcher_folder() if holder is None or holder.data_dir is None else holder.data_dir


def _limited(client: BlockingClient, count: int | None, seconds: float | None) -> Iterator[Told]:
    """The client's events up to the limits; ends when the launcher has gone for good."""
    deadline = None if seconds is None else monotonic() + seconds
    shown = 0
    events = client.events(timeout_s=seconds)  # of those subscribed to
    while count is None or shown < count:
        if deadline is not None and monotonic() >= deadline:
            return
        try:
            event = next(events, None)
        except Timeout:
            return
        if event is None:
            raise Failure("the launcher closed the connection", Exit.FAILED)
        shown += 1
        yield event


class _Lines:
    """Shows each event as a line."""

    def __init__(self, screen: Screen, as_json: bool) -> None:
        self._screen = screen
        self._as_json = as_json

    def __call__(self, event: Told) -> None:
        from quarterdeck.ui import sentences

        if self._as_json:
            self._screen.raw(_as_json(event))
        else:
            self._screen.line(sentences.numbered(event), sentences.colour(event))


def _as_json(event: Told) -> bytes:
    import msgspec

    from quarterdeck.client import RunChanged, Unknown

    members: Any = event
    if isinstance(event, Unknown):
        members = event.members
    elif isinstance(event, RunChanged):
        members = {
            "event": "run_changed",
            "old_run_id": event.old_run_id,
            "new_run_id": event.new_run_id,
            "version": event.snapshot.version,
        }
    return msgspec.json.encode(members)
