"""quarterdeck top: how the launcher and its clients fare, again and again.

Rules: a look is one `get_metrics`, and a snapshot where there are children. What goes wrong with a look while the
screen is up is said on it, and the next one is another try: the launcher may go away and come back.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any, Final

import click

from quarterdeck.errors import NoLauncher, QuarterdeckError
from quarterdeck.ui.command import Address, Command, address_options
from quarterdeck.ui.exits import Exit, Failure, nobody_at
from quarterdeck.ui.screen import standard_output

if TYPE_CHECKING:
    from quarterdeck.client.blocking import BlockingClient
    from quarterdeck.ui.vitals import Look, Vitals

EXAMPLES = (
    ("quarterdeck top", "Everybody who is connected, who lags most first; q leaves."),
    ("quarterdeck top --sort cpu --every 5", "Who works most, looked at every five seconds."),
    ("quarterdeck top --once", "One table, of the second that it takes; for pipes, too."),
    ("quarterdeck top --json | jq '.clients[] | select(.lag > 0)'", "The clients that lag, for programs."),
)
SORTS: Final = ("lag", "missed", "events", "commands", "received", "sent", "memory", "cpu", "name", "kind", "pid", "id")
PIPED_COLUMNS: Final = 1_000
"""Of a table that is no terminal's: as wide as it wants to be."""
ANSWER_S: Final = 3.0
"""How long a look may take while the screen is up: it says so then, and looks again."""


@click.command("top", cls=Command, examples=EXAMPLES)
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look; rates are over this time.",
)
@click.option(
    "--sort", type=click.Choice(SORTS), default="lag", show_default=True, help="What clients are put in order by."
)
@click.option("--once", is_flag=True, help="Show one table and end; needs no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print one object and end: launcher, clients, children.")
@address_options
def command(address: Address, every: float, sort: str, once: bool, as_json: bool) -> None:
    """Show who is connected and how each fares: lag, rates, bytes, memory, processor.

    LAG is how many events a client is due, BEHIND their bytes, MISSED how many it was told it lost; SLOW: its socket
    takes no more. EVENTS/S is how fast it moves along the stream. IN is what came from it, OUT what it was sent.
    Below are the processes of the quarterdeck.toml. `-` is what there is not, or what the system does not tell.

    q or Ctrl-C leaves. With --once or --json it looks twice, --every apart, and ends. Members of --json end in their
    units; times are seconds, shares percent of one core.
    """
    screen = standard_output()
    if once or as_json:
        vitals = _once(address, every)
        if as_json:
            import msgspec

            screen.raw(msgspec.json.encode(vitals))
            return
        from quarterdeck.ui.dashboard import lines_of

        width = _columns() if screen.is_terminal else PIPED_COLUMNS
        for line in lines_of(vitals, sort, width):
            screen.line(line.text.rstrip(), line.style)
        return
    if not screen.is_terminal:
        raise click.UsageError("standard output is no terminal: give --once or --json")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be told to end is no crash: the terminal is restored
    with _connected(address) as client:
        watched = Watched(address, client)
        try:
            _show(watched, every, sort)
        except KeyboardInterrupt:
            return
        finally:
            watched.close()


def _connected(address: Address, **terms: Any) -> BlockingClient:
    from quarterdeck.client import connect_blocking

    return connect_blocking(kind="tool", name="top", events=(), reconnect=False, **{**address.terms(), **terms})


def _once(address: Address, every: float) -> Vitals:
    from quarterdeck.ui.vitals import Usage, vitals_of

    with _connected(address) as client:
        usage = Usage()
        before = look_at(client, usage)
        time.sleep(every)
        return vitals_of(look_at(client, usage), client.launcher_pid, before)


def look_at(client: BlockingClient, usage: Any) -> Look:
    """One look. Raises: ConnectionLost, Timeout."""
    from quarterdeck.ui.vitals import Look

    metrics = client.get_metrics()
    has_children = any(sample.name == "quarterdeck_children" for sample in metrics.samples)
    children = client.get_snapshot().children if has_children else ()
    pids = {client.launcher_pid, *(row.pid for row in metrics.connections)}
    return Look(metrics, children, usage.of(pids))


class Watched:
    """The launcher that is looked at, through its absences."""

    def __init__(self, address: Address, client: BlockingClient) -> None:
        from quarterdeck.ui.vitals import Usage

        self._address = address
        self._client: BlockingClient | None = client
        self._usage = Usage()
        self._before: Look | None = None
        self._pid = client.launcher_pid
        self.vitals: Vitals | None = None
        self.notice = ""

    def look(self) -> None:
        """Look once more; what is wrong with that is in `notice`, and `vitals` stay what they were."""
        from quarterdeck.ui.vitals import vitals_of

        try:
            if self._client is None:
                self._client = _connected(self._address, timeout_s=ANSWER_S)
            look = look_at(self._client, self._usage)
            self._pid = self._client.launcher_pid
        except (QuarterdeckError, OSError) as error:
            self.close()
            said = nobody_at(error.address) if isinstance(error, NoLauncher) else error
            self.notice = f"{said}; looking again"
            return
        self.vitals = vitals_of(look, self._pid, self._before)
        self._before = look
        self.notice = ""

    def close(self) -> None:
        """Leave the launcher, where there is one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _show(watched: Watched, every: float, sort: str) -> None:
    """Look and draw until somebody wants to leave. Raises: Failure where the first look fails."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from quarterdeck.ui.dashboard import lines_of
    from quarterdeck.ui.keys import GONE, Keys

    console = Console(highlight=False, markup=False, emoji=False)

    def drawn() -> Group:
        assert watched.vitals is not None
        width, height = console.size
        lines = lines_of(watched.vitals, sort, width, height, watched.notice)
        return Group(*(Text(line.text, line.style, no_wrap=True, overflow="crop") for line in lines))

    watched.look()
    if watched.vitals is None:
        raise Failure(watched.notice, Exit.FAILED)
    with Keys() as keys, Live(get_renderable=drawn, console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.refresh()
            if not {"q", "Q", GONE}.isdisjoint(keys.wait(every)):
                return
            watched.look()


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
