"""What the journal reports of itself: told by `journal_changed`, on a real change (protocol, section 5)."""

from __future__ import annotations

from quarterdeck.core.state import State
from quarterdeck.core.step import Context, JournalReported, Step
from quarterdeck.schema.events import JournalChanged


def reported(state: State, observation: JournalReported, ctx: Context) -> Step:
    """The journal keeps what happens again, or cannot for now."""
    step = Step()
    if observation.state != state.journal:
        state.journal = observation.state
        step.events.append(JournalChanged(state.next_version(), observation.state))
    return step
