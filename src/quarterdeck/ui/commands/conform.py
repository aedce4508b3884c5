"""quarterdeck conform: does a launcher, or a client, keep to the protocol?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quarterdeck.ui.command import Address, Command, address_options, json_option
from quarterdeck.ui.exits import Exit, Failure
from quarterdeck.ui.screen import Screen, standard_output

if TYPE_CHECKING:
    from quarterdeck.conformance.rules import Result, Rule

EXAMPLES = (
    ("quarterdeck conform", "Check this launcher against every rule of the protocol, on throw-away folders."),
    ("quarterdeck conform --only 3 --only 6/bookmark-after", "Some sections, or some rules."),
    ("quarterdeck conform --endpoint /run/user/1000/mine.sock", "Check the launcher that listens there, with care."),
    ("quarterdeck conform --client -- node my_client.js", "Check a client: we are its launcher, in several scenes."),
    ("quarterdeck conform --list", "Every rule with its section."),
)


@click.command("conform", cls=Command, examples=EXAMPLES)
@click.option("--only", multiple=True, metavar="SECTION", help="A section (3, 3.5) or a rule (3.5/half-close).")
@click.option(
    "--destructive",
    is_flag=True,
    help="With --endpoint: also play its host, open as many connections as it takes, and in the end let it quit.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long an answer is awaited.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="With --client: how long it has to do wrong after each odd thing; more on a busy machine. [default: 0.7]",
)
@click.option("--client", is_flag=True, help="Check the client that CMD starts, instead of a launcher.")
@click.option("--list", "only_list", is_flag=True, help="Print the rules, and check nothing.")
@json_option
@address_options
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD [ARG]...]")
def command(
    address: Address,
    only: tuple[str, ...],
    destructive: bool,
    patience: float,
    settle: float | None,
    client: bool,
    only_list: bool,
    argv: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check a launcher, or a client, against every rule of the protocol.

    Without --endpoint, --data-dir or --config it starts launchers of its own in throw-away folders. On a launcher that
    is in use it registers, publishes under the topic quarterdeck.conform, and leaves; what could do harm is done with
    --destructive only. With --client it is the other way round: CMD is started once a scene, with a socket of ours in
    QUARTERDECK_ENDPOINT, meets what may happen in a launcher's life, and is ended. A rule that is broken is shown with
    the lines that were sent and received. Exit code 0 if no rule is broken, 1 if one is.
    """
    screen = standard_output()
    rules = _rules(client)
    _exist(only, rules)
    if only_list:
        _list(screen, [rule for rule in rules if rule.is_in(only)], as_json)
        return Exit.DONE
    if client is not bool(argv):
        what = "--client needs the client's command: quarterdeck conform --client -- CMD"
        raise Failure(what if client else "a command is for --client; see: quarterdeck conform --help", Exit.USAGE)
    if settle is not None and not client:
        raise Failure("--settle is for --client; see: quarterdeck conform --help", Exit.USAGE)
    progress = _Progress(screen)
    if client:
        from quarterdeck.conformance.client.running import SETTLE_S, check_client

        settle_s = SETTLE_S if settle is None else settle
        results = check_client(_program(argv), only, patience_s=patience, settle_s=settle_s, begin=progress.say)
    else:
        from quarterdeck.conformance.server.running import Target, check_launcher

        results = check_launcher(Target(_endpoint(address), destructive, patience), only, begin=progress.say)
    progress.end()
    _report(screen, results, as_json)
    return Exit.FAILED if any(result.verdict == "fail" for result in results) else Exit.DONE


def _rules(client: bool) -> tuple[Rule, ...]:
    if client:
        from quarterdeck.conformance.client.judge import RULES

        return RULES
    from quarterdeck.conformance.server import running

    return running.RULES


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command, if there is such a program. Raises: Failure."""
    import shutil

    if shutil.which(argv[0]) is None:
        raise Failure(f"cannot run {argv[0]}: there is no such program; check the name and PATH", Exit.NOT_FOUND)
    return argv


def _endpoint(address: Address) -> str | None:
    """Who is to be checked, if anybody was named: the environment's launcher is in use, and not asked for."""
    if address == Address():
        return None
    from quarterdeck.client import find_endpoint

    return find_endpoint(**address.options())


def _exist(only: tuple[str, ...], rules: tuple[Rule, ...]) -> None:
    for name in only:
        if not any(rule.is_in((name,)) for rule in rules):
            raise Failure(f"--only {name}: no such section or rule; see: quarterdeck conform --list", Exit.USAGE)


def _list(screen: Screen, rules: list[Rule], as_json: bool) -> None:
    import msgspec

    from quarterdeck.ui.verdicts import show_rules

    if not as_json:
        show_rules(screen, rules)
        return
    for rule in rules:
        screen.raw(msgspec.json.encode({"rule": rule.key, "section": rule.section, "text": rule.text}))


def _report(screen: Screen, results: list[Result], as_json: bool) -> None:
    import msgspec

    from quarterdeck.ui.verdicts import show_results

    if not as_json:
        show_results(screen, results)
        return
    for result in results:
        screen.raw(msgspec.json.encode(result))


class _Progress:
    """Says on a terminal what is being checked, in a line that goes away."""

    def __init__(self, screen: Screen) -> None:
        self._is_shown = screen.is_terminal and sys.stderr.isatty()

    def say(self, rule: Rule) -> None:
        """This rule comes next."""
        self._show(f"checking {rule.key}")

    def end(self) -> None:
        """All is checked."""
        self._show("")

    def _show(self, text: str) -> None:
        if self._is_shown:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
