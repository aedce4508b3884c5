"""quarterdeck logs: what the children wrote, merged by time, and what they write."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from quarterdeck.ui.command import Command, folder_option, json_option
from quarterdeck.ui.looking_back import begin_of, since_option
from quarterdeck.ui.screen import standard_output
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.ui.child_log import LogLine

FOLLOWED_LINES: Final = 10
"""Of the past, where one follows and does not say how many."""

EXAMPLES = (
    ("quarterdeck logs", "Everything that is kept, of all processes, by time."),
    ("quarterdeck logs -f web db", "The last lines of two, then what they write, until Ctrl-C."),
    ("quarterdeck logs -n 50 worker", "The last 50 lines of worker, or of its replicas worker-1, worker-2, …"),
    ("quarterdeck logs --since 10m 'web-*' --json", "The last ten minutes, one JSON object a line."),
    ("quarterdeck logs --since 812 web", "What web wrote from event 812 on: the number is that of quarterdeck events."),
    ("quarterdeck logs --raw web | less -R", "Only what it wrote, byte for byte."),
)


@click.command("logs", cls=Command, examples=EXAMPLES)
@click.argument("patterns", nargs=-1, metavar="[NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what they write, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), metavar="LINES", help="Only the last ones. [default: all; with -f 10]"
)
@since_option
@click.option("--raw", is_flag=True, help="Only what they wrote: no times, no names.")
@json_option
@folder_option
def command(
    data_dir: str | None,
    patterns: tuple[str, ...],
    follow: bool,
    lines: int | None,
    since: str | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Print what the processes of quarterdeck.toml wrote, by time, with or without a launcher running.

    NAME is a process, one with replicas, or a pattern with `*`; without one, every process. A line is the time of day,
    the name, `|` for standard output, `!` for standard error or `#` for what the launcher says of the process, and the
    text. What belongs together (a traceback) stays together. A version of --since is one of the newest run; when that
    was, the journal says.
    """
    from quarterdeck.client import default_data_dir
    from quarterdeck.ui import logs as log

    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    begin_ms = begin_of(since, data_dir) if since is not None else None
    if lines is None and follow and since is None:
        lines = FOLLOWED_LINES
    logs = log.Logs(default_data_dir() if data_dir is None else Path(data_dir), patterns, waits=follow)
    for what in logs.missing:
        sys.stderr.write(f"quarterdeck: {safe(what)}; waiting for it\n")
    screen = standard_output()
    shown = log.LogLines(screen, logs)

    def show(name: str, line: LogLine) -> None:
        if raw and line.stream != "log":
            screen.output(line.text)
        elif as_json:
            screen.raw(log.as_json(name, line))
        elif not raw:
            shown.show(name, line)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be told to end is no crash
    try:
        for name, line in logs.past(begin_ms, lines, theirs_only=raw, goes_on=follow):
            show(name, line)
        for block in logs.future() if follow else ():
            for line in block.lines:
                show(block.name, line)
    except KeyboardInterrupt:
        return
