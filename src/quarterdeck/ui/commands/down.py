"""quarterdeck down: end the application of this folder.

Rule: done means that the launcher's process has ended, so that the next one can be started at once.
"""

from __future__ import annotations

import time

import click

from quarterdeck.errors import NoLauncher, Timeout
from quarterdeck.ui.command import Address, Command, address_options, answer_option
from quarterdeck.ui.exits import Failure, nobody_at
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ("quarterdeck down", "Stop all processes, each before those that it comes after, and the launcher."),
    ("quarterdeck down --now", "Kill them at once: nobody has its grace."),
    ("quarterdeck down && quarterdeck up -d", "Start afresh; that there was none to stop is no error."),
)
HINT = "to wait no more: --now"


@click.command("down", cls=Command, examples=EXAMPLES)
@click.option("--now", is_flag=True, help="Kill what runs, without its grace; also where it is stopping already.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="SECONDS",
              help="How long to wait for the end; 0: not at all. [default: until the last grace is over]")  # fmt: skip
@answer_option
@address_options
def command(address: Address, now: bool, wait_s: float | None, answer_within: float) -> None:
    """End the launcher and all processes that it runs, and wait until they have gone.

    Exit code 0, also where no launcher runs, which is said. Where it was killed and its processes live on
    (on_launcher_death = "adopt"), they are ended as it would have ended them.
    """
    from quarterdeck.client import find_endpoint
    from quarterdeck.ui.ending import end_of
    from quarterdeck.ui.narrator import OF_CHILDREN, Narrator
    from quarterdeck.ui.progress import Progress
    from quarterdeck.ui.reaching import reach
    from quarterdeck.ui.waiting import board_of

    screen = standard_output()
    deadline = None if wait_s is None else time.monotonic() + wait_s
    place = find_endpoint(**address.options())
    try:
        client = reach(place, "down", within_s=answer_within)
    except NoLauncher:
        from quarterdeck.ui.survivors import end_survivors, listed

        ended = end_survivors(address, place, screen.line, now=now, wait_s=wait_s, deadline=deadline)
        if ended:
            screen.line(f"the launcher was killed before; ended what lived on: {listed(ended)}", "bold")
        else:
            screen.line(f"nothing to stop: {nobody_at(place)}")
        return
    with client:
        who = f"launcher pid {client.launcher_pid}"
        has_ended = end_of(client.launcher_pid)
        client.subscribe(*OF_CHILDREN, snapshot=True)
        narrator = Narrator(client, board_of(client), Progress(screen))
        client.quit("forced" if now else "user_exit")
        try:
            if wait_s != 0:
                narrator.until_end(deadline)
        except Timeout:
            pass
    left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
    if wait_s == 0:
        screen.line(f"{who} was told to quit")
    elif has_ended(left_s):
        screen.line(f"{who} has ended", "bold")
    else:
        hint = f"what holds it up is in its log; at the worst: kill -9 {client.launcher_pid}" if now else HINT
        raise Failure(f"{who} was told to quit, and is still there after {wait_s:g} s; {hint}")
