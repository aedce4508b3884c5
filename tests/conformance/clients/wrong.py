"""A client that breaks one rule, the one that is its argument; by itself it is a plain one that comes back."""

import json
import os
import signal
import socket
import sys
import time

FAULT = sys.argv[1]
MEMBERS = {"event", "version", "client_id", "launcher_pid", "launcher_version", "run_id", "protocol", "max_line_bytes"}


def talk(since: int, run_id: str) -> tuple[int, str]:
    """One connection to its end; the cursor then."""
    launcher = socket.socket(socket.AF_UNIX)
    launcher.connect(os.environ["QUARTERDECK_ENDPOINT"])

    def send(**command: object) -> None:
        launcher.sendall(json.dumps(command).encode() + b"\n")

    if FAULT == "ping-first":
        send(cmd="ping", nonce=1)
    subscribe = {"since": since, "run_id": run_id} if run_id else {}
    pid = 1 if FAULT == "another-pid" else os.getpid()
    send(cmd="register", kind="srv", pid=pid, version="1", subscribe=subscribe)
    lines = launcher.makefile("rb")
    if FAULT == "reads-are-lines":
        lines = iter(lambda: launcher.recv(65536), b"")  # type: ignore[assignment]
    for line in lines:
        value = json.loads(line)
        if len(line) > 1_048_576 and FAULT == "short-lines":
            raise SystemExit("too long")
        if value.get("event") == "registered":
            run_id = value["run_id"]
            if FAULT == "strict-members" and value.keys() - MEMBERS:
                raise SystemExit("what is this?")
            mistakes(send, launcher)
        elif value.get("event") == "published_in_space" and FAULT == "strict-events":
            raise SystemExit("what is this?")
        elif value.get("cmd") == "shutdown" and FAULT == "dies-of-shutdown":
            os.kill(os.getpid(), signal.SIGKILL)
        elif value.get("code") == "unknown_run":
            return since, run_id if FAULT == "stubborn" else ""
        elif value.get("event") not in {"error", None}:
            since = max(since, value["version"])
    return since + 100 * (FAULT == "ahead"), run_id


def mistakes(send, launcher) -> None:  # type: ignore[no-untyped-def]
    """What it says that it should not."""
    if FAULT == "twice":
        send(cmd="register", kind="srv", pid=os.getpid(), version="1")
    elif FAULT == "two-objects":
        launcher.sendall(b'{"cmd":"ping","nonce":1}{"cmd":"ping","nonce":2}\n')
    elif FAULT == "directs":
        send(cmd="shutdown", reason="forced", grace_ms=0)
    elif FAULT == "fractions":
        send(cmd="ping", nonce=1.0)
    elif FAULT == "talks-on":
        launcher.sendall(b'{"cmd":"goodbye"}\n{"cmd":"ping","nonce":1}\n')


if FAULT == "absent":
    time.sleep(60)
cursor, run = 0, ""
while True:
    try:
        cursor, run = talk(cursor, run)
    except OSError:
        pass
    time.sleep(0.02)
