"""quarterdeck wrap: any program as a client, for as long as it runs.

Rules: the program's own pid is registered, before its first instruction runs. It is told as it went: with goodbye
where it ended by itself with 0, else without one. The launcher may go and come back meanwhile: the program never
notices, and is registered again.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from quarterdeck.errors import QuarterdeckError
from quarterdeck.ui.command import Address, Command, address_options, kind_option
from quarterdeck.ui.exits import failure_of
from quarterdeck.ui.program import Program, cannot_run, refuse_missing
from quarterdeck.ui.text import safe

if TYPE_CHECKING:
    from quarterdeck.client import Client

EXAMPLES = (
    ("quarterdeck wrap -- sleep 60", "Register sleep for as long as it runs."),
    ("quarterdeck wrap --kind srv --name db -- ./db --port 0", "Options after -- are the program's own."),
)


@click.command(
    "wrap", cls=Command, examples=EXAMPLES, context_settings={"allow_interspersed_args": False}
)  # the first word that is no option of ours begins the program's
@kind_option
@click.option("--name", help="The name to register with. [default: the program's]")
@address_options
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(address: Address, kind: str, name: str | None, argv: tuple[str, ...]) -> int:
    """Run a program, registered under its own pid for as long as it runs.

    The exit code is the program's, or 128 + N if signal N ended it; 127 if there is no such program. SIGTERM, SIGINT
    and SIGHUP are forwarded. The program finds the launcher in QUARTERDECK_ENDPOINT.
    """
    from quarterdeck.client import find_endpoint

    refuse_missing(argv[0])  # before anything is registered; what else may be wrong, exec will say
    endpoint = find_endpoint(**address.options())
    program = Program.hold(argv, {**os.environ, "QUARTERDECK_ENDPOINT": endpoint})
    options = {"kind": kind, "name": name or os.path.basename(argv[0]), "endpoint": endpoint}
    code = asyncio.run(_run(program, argv[0], options))
    return code if code >= 0 else 128 - code


async def _run(program: Program, file: str, options: dict[str, Any]) -> int:
    """Register, release and see off the program; returns its code, or minus the signal's number."""
    from quarterdeck.client import connect

    program.watch_signals(asyncio.get_running_loop())
    try:
        client = await connect(pid=program.pid, events=(), **options)
    except BaseException:
        killed = program.ended  # at the gate, by a signal that we forwarded; then nobody can register it
        program.cancel()
        if killed:
            return await program.wait()
        raise
    try:
        program.release()
    except OSError as error:
        await program.wait()
        client.abort()
        raise cannot_run(file, error) from None
    watching = asyncio.create_task(_warn_when_ended(client))
    code = await program.wait()
    watching.cancel()
    await _see_off(client, code)
    return code


async def _see_off(client: Client, code: int) -> None:
    if code != 0 or not client.connected:
        client.abort()
        return
    try:
        await client.goodbye()
    except QuarterdeckError:  # the launcher went at the same moment: the program's code is what counts
        pass


async def _warn_when_ended(client: Client) -> None:
    """The program goes on when the launcher will not have us back; only say so."""
    try:
        async for _ in client.events():
            pass
    except QuarterdeckError as error:
        sys.stderr.write(f"quarterdeck: wrap: no longer registered: {safe(str(failure_of(error)))}\n")
