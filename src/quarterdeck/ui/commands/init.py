"""quarterdeck init: a new quarterdeck.toml, from scratch or from what another launcher's file says."""

from __future__ import annotations

import os
from pathlib import Path

import click

from quarterdeck.ui.command import Command
from quarterdeck.ui.exits import Failure
from quarterdeck.ui.screen import standard_output

CONVERTIBLE = ("Procfile", "supervisord.conf", "ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.json")
EXAMPLES = (
    ("quarterdeck init", "A quarterdeck.toml with one process to change, and every other key in a comment."),
    ("quarterdeck init --from Procfile", "The processes of a Procfile; then quarterdeck up."),
    ("quarterdeck init --from /etc/supervisord.conf -o deck/quarterdeck.toml", "Those of supervisord, elsewhere."),
)


@click.command("init", cls=Command, examples=EXAMPLES)
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Convert a Procfile, a supervisord.conf, or a pm2 ecosystem file (.json, .js: read by node).",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default="quarterdeck.toml",
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Overwrite it if it is there.")
def command(source: Path | None, output: Path, force: bool) -> None:
    """Write a commented quarterdeck.toml.

    What a converted file says and Quarterdeck has no counterpart for stands in the new one as a comment. The new file
    is checked before it is written.
    """
    from quarterdeck.ui.converting import convert
    from quarterdeck.ui.drafting import scratch_text

    if output.exists() and not force:
        raise Failure(f"{output} is there already; write elsewhere (--output FILE), or over it (--force)")
    text = scratch_text() if source is None else convert(source, output)
    # Whoever may write it says what is run: nobody else, whatever the umask.
    with open(output, "w" if force else "x", encoding="utf-8", newline="\n", opener=_for_us_to_write) as stream:
        stream.write(text)
    count = text.count("\n[process.")
    screen = standard_output()
    screen.line(f"{output} is written: {count} {'process' if count == 1 else 'processes'}")
    if source is None:
        for name in CONVERTIBLE:
            if Path(name).is_file():
                screen.line(f"{name} is here: to convert it, quarterdeck init --from {name} --force")
    screen.line("next: look at it, then quarterdeck check and quarterdeck up")


def _for_us_to_write(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)
