"""Running: every scene with the client, and what became of each rule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from quarterdeck.conformance.client.judge import RULES
from quarterdeck.conformance.client.play import Play, Terms
from quarterdeck.conformance.client.scenes import SCENES, Scene
from quarterdeck.conformance.rules import Breach, Ledger, NotApplicable, Result, Rule

SETTLE_S: Final = 0.7
SCENES_AT_ONCE: Final = 4


def check_client(
    argv: Sequence[str],
    only: Sequence[str] = (),
    *,
    patience_s: float = 10.0,
    settle_s: float = SETTLE_S,
    begin: Callable[[Rule], None] = lambda _: None,
) -> list[Result]:
    """What became of each rule of a client; `only` names sections or rules, none means all.

    `argv` is started once a scene. A client has `settle_s` to do wrong after each odd thing; no more is waited for once
    every rule that `only` names is broken. Raises: OSError where it cannot be started.
    """
    ledger = Ledger()
    named = [rule for rule in RULES if only and rule.is_in(only)]
    terms = Terms(patience_s, settle_s, lambda: bool(named) and all(map(ledger.is_broken, named)))
    asyncio.run(_play_all(argv, _asked_for(only), ledger, terms, begin))
    return ledger.results(rule for rule in RULES if rule.is_in(only) or (rule.demanded and ledger.is_broken(rule)))


async def _play_all(
    argv: Sequence[str], scenes: Sequence[Scene], ledger: Ledger, terms: Terms, begin: Callable[[Rule], None]
) -> None:
    at_once = asyncio.Semaphore(SCENES_AT_ONCE)

    async def play(scene: Scene) -> None:
        async with at_once:
            begin(scene.rules[0])
            await _play(scene, Play(argv, ledger, terms), ledger)

    async with asyncio.TaskGroup() as group:
        for scene in scenes:
            group.create_task(play(scene))


def _asked_for(only: Sequence[str]) -> list[Scene]:
    """The scenes that decide these rules; of those that any scene shows, the first one."""
    decided = [rule for scene in SCENES for rule in scene.rules]
    shown = any(rule.is_in(only) and rule not in decided for rule in RULES)
    chosen = [scene for scene in SCENES if any(rule.is_in(only) for rule in scene.rules)]
    return chosen if chosen and not shown else [SCENES[0], *(scene for scene in chosen if scene is not SCENES[0])]


async def _play(scene: Scene, play: Play, ledger: Ledger) -> None:
    try:
        await play.begin()
        await scene.play(play)
    except NotApplicable as reason:
        for rule in scene.rules:
            ledger.set_aside(rule, str(reason))
    except Breach as breach:
        for rule in scene.rules:
            ledger.set_aside(rule, "the client did not get as far as that")
        await play.end()
        ledger.breach(breach.rule or scene.rules[0], breach, play.evidence())
    finally:
        await play.end()
