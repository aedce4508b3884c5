"""From whatever point of whatever story, a state that was frozen, written, read and thawed goes on as the first one.

That the bytes are the same in every process is tested with what stories tell, in `test_windows`: `play` ends with them.
"""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from quarterdeck.core.checkpoint import Checkpoint, freeze, thaw
from quarterdeck.core.reducer import reduce
from quarterdeck.core.snapshot import snapshot
from quarterdeck.core.state import State
from tests.property.inside import check_inside, everything
from tests.property.story import RULES, RUN_ID, Story, told

STORIES = 600
PARTS = 4
TWINS_SHARE = 0.06
"""Of the inputs of a story, before how many the state is frozen and a twin thawed."""

_checkpoints: msgspec.json.Decoder[Checkpoint] = msgspec.json.Decoder(Checkpoint)


class Twins:
    """One story, told by a state and by all twins that were thawed from it on the way."""

    def __init__(self, seed: int) -> None:
        self.state = State(RULES)
        self.held: Counter[str] = Counter()  # how often a member was another than a fresh state's when it was frozen
        self._story = Story(seed, self.state)
        self._draw = random.Random(seed)
        self._twins: list[State] = []

    def play(self) -> None:
        for value, ctx in self._story.inputs():
            if self._draw.random() < TWINS_SHARE:
                self._twins.append(self._twin(self._draw.choice((self.state, *self._twins))))
            said = told(reduce(self.state, value, ctx))
            for twin in self._twins:
                assert told(reduce(twin, value, ctx)) == said
        self._compare()

    def _twin(self, state: State) -> State:
        """A twin of the state, or of one of its twins."""
        before = everything(state)
        frozen = freeze(state)
        assert everything(state) == before
        written = msgspec.json.encode(frozen)
        assert _checkpoints.decode(written) == frozen
        twin = thaw(_checkpoints.decode(written))
        check_inside(twin)
        assert freeze(twin) == frozen
        assert msgspec.json.encode(freeze(twin)) == written
        fresh = freeze(State(RULES))
        self.held.update(name for name in frozen.__struct_fields__ if getattr(frozen, name) != getattr(fresh, name))
        return twin

    def _compare(self) -> None:
        written, view = msgspec.json.encode(freeze(self.state)), snapshot(self.state, RUN_ID)
        for twin in self._twins:
            check_inside(twin)
            assert snapshot(twin, RUN_ID) == view
            assert msgspec.json.encode(freeze(twin)) == written


@pytest.mark.parametrize("part", range(PARTS))
def test_a_thawed_state_tells_the_rest_of_the_story(part: int) -> None:
    held: Counter[str] = Counter()
    for seed in range(part, STORIES, PARTS):
        twins = Twins(seed)
        try:
            twins.play()
        except Exception as fault:
            fault.add_note(f"the story of seed {seed}")
            raise
        held += twins.held
    elsewhere = {"rules", "children", "slices"}  # no story changes the rules; the others have stories of their own
    assert set(Checkpoint.__struct_fields__) - elsewhere == set(held), "a member that stays as it was proves nothing"
