"""quarterdeck completion: the script that makes a shell complete our commands and options."""

from __future__ import annotations

import os

import click

from quarterdeck.ui.command import Command
from quarterdeck.ui.screen import standard_output

EXAMPLES = (
    ('eval "$(quarterdeck completion bash)"', "In ~/.bashrc; for zsh the same with zsh in ~/.zshrc."),
    ("quarterdeck completion fish > ~/.config/fish/completions/quarterdeck.fish", "For fish."),
)
SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command, examples=EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> None:
    """Print a completion script for bash, zsh or fish (default: the one that SHELL names)."""
    from click.shell_completion import get_completion_class

    name = shell or os.path.basename(os.environ.get("SHELL", ""))
    completion = get_completion_class(name) if name in SHELLS else None
    if completion is None:
        raise click.UsageError(f"name a shell: {', '.join(SHELLS)}", ctx)
    script = completion(ctx.find_root().command, {}, "quarterdeck", "_QUARTERDECK_COMPLETE").source()
    for line in script.splitlines():
        standard_output().line(line.replace("\t", "    "))
