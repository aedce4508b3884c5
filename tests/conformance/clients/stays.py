"""A blocking client that follows everything, and leaves when it is asked to."""

import signal
import sys

import quarterdeck


def leave(*_: object) -> None:
    raise SystemExit(0)


signal.signal(signal.SIGTERM, leave)
with quarterdeck.connect_blocking(kind="srv", name="stays") as me:
    me.report_status({"state": "here"})
    for event in me.events():
        sys.stdout.write(f"{event}\n")
