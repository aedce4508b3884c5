"""A long random story with a fixed seed, played in a process of its own: prints a digest of every byte that anybody
was sent.

    python -m tests.property.scripted SEED
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys

import msgspec

from tests.property.deck import RUN_ID, Deck, Pipe, register_line
from tests.schema.samples import COMMANDS

FILTERS = (None, ["published", "activated"], ["process_*", "*_changed"], ["*"], ["none*"])
STEPS = 400


async def play(seed: int) -> bytes:
    """Everything that all clients were sent, in the order of the clients, and the state in the end."""
    draw = random.Random(seed)
    deck = Deck(["limits.ring_events=32", "limits.exited_processes=3", "limits.bad_lines=5"])
    pipes: list[Pipe] = []
    for _ in range(STEPS):
        if not pipes or draw.random() < 0.1:
            pipes.append(deck.connect())
            pipes[-1].feed(register_line(draw.randint(1, 20), draw.choice(["host", "tool", "srv"])) + b"\n")
        else:
            act(draw, draw.choice(pipes))
        if draw.random() < 0.5:
            await deck.settle()
    await deck.settle()
    for pipe in pipes:
        pipe.empty()
    await deck.settle()
    told = b"\0".join(pipe.received for pipe in pipes) + b"\0" + deck.snapshot()
    await deck.close()
    return told


def act(draw: random.Random, pipe: Pipe) -> None:
    """One client does something."""
    chance = draw.random()
    if chance < 0.05:
        pipe.full = True
    elif chance < 0.1:
        pipe.empty()
    elif chance < 0.15:
        pipe.feed(None)
    elif chance < 0.3:
        wanted: dict[str, object] = {"cmd": "subscribe", "id": draw.randint(1, 99)}
        names = draw.choice(FILTERS)
        if names is not None:
            wanted["events"] = names
        wanted |= draw.choice([{}, {"snapshot": True}, {"since": 0, "run_id": RUN_ID, "slow": "snapshot"}])
        pipe.feed(msgspec.json.encode(wanted) + b"\n")
    else:
        name = draw.choice([name for name in COMMANDS if name != "quit"])
        pipe.feed(msgspec.json.encode(COMMANDS[name]) + b"\n")


if __name__ == "__main__":
    everything = asyncio.run(play(int(sys.argv[1])))
    print(len(everything), hashlib.sha256(everything).hexdigest())
