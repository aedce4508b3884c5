"""What a fuzzer begins with: lines, files and settings of every kind that there is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from quarterdeck.config import describe
from quarterdeck.drivers import guard_wire
from tests.fuzz import journals
from tests.schema.samples import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
COMMAND_LINES = [msgspec.json.encode(command) for command in COMMANDS.values()]
ODD_LINES = [
    b"",
    b" \t\r",
    b"{}",
    b'{"cmd":"ping","nonce":1.0}',
    b'{"cmd":"ping","nonce":18446744073709551615,"id":-9007199254740992}',
    b'{"cmd":"ping","nonce":1}{"cmd":"ping","nonce":2}',
    b'{"cmd":"publish","topic":"t","payload":[1e999,-0.0,123456789012345678901234567890,"\\ud83d\\ude00"]}',
    b'{"cmd":"ping","nonce":1,"x":' + b"[" * 63 + b"]" * 63 + b"}",
    b'{"cmd":"ping","nonce":1,"x":"\xff"}',
    b'{"cmd":"subscribe","since":0,"snapshot":true}',
    b"x" * 301,
]
TOLD = [
    b'{"event":"process_exited","version":3,"pid":7,"code":null,"reason":"goodbye","synthetic":false}',
    b'{"event":"error","code":"internal","message":"m","fatal":true,"version":0}',
    b'{"kind":"command","cmd":"shutdown","reason":"signal","grace_ms":0}',
    b'{"event":"of_a_slice","version":4,"x":[]}',
    b'{"event":"lagged","from":1,"to":2,"version":2}',
]

CHANGED_ROWS = [
    b"",
    b"runs.run_id 0 '1e9",
    b"runs.head 0 1.2.3=>0.1.0",
    b"runs.head 1 {}",
    b"runs.began_ms 0 #9223372036854775807",
    b"runs.first_step 1 #-5",
    b"steps.step 3 #4000000000000000000",
    b"steps.version 4 #-1\nsteps.at_ms 4 %1e300",
    b"steps.input 2 =>x",
    b'steps.input 4 "cmd":"publish"=>"cmd":"unheard_of"',
    b"steps.input 5 \xff[[[[",
    b'steps.events 1 "version":3=>"version":"3"',
    b'steps.events 1 {"event":"of_the_future","version":3}\\n',
    b'steps.events 12 "saga_id":1000000000000=>"saga_id":[1]',
    b"checkpoints.state 0 101=>1e999",
    b'checkpoints.state 1 "processes":=>"p":',
    b"checkpoints.inputs 0 ~",
    b"holes.last_version 0 #0\nholes.why 0 'a\tb",
]
CHANGED_BYTES = [
    b"db 0 SQLite format 4",
    b"db 16 \x00\x00",
    b"db 18 \x09\x09",
    b"cut db 100",
    b"cut db 0",
    b"cut wal 3000",
    b"cut wal 100000\nwal 90000 x",
    b"wal 0 7777",
    b"wal 4152 \xff\xff\xff\xff",
    b"wal 20000 XXXXXXXXXXXXXXXX",
]


def seeds(name: str) -> list[bytes]:
    """For a target."""
    if name.startswith("wire"):
        lines = TOLD if name == "wire_launcher" else [*COMMAND_LINES, *ODD_LINES]
        head = b"\x05" if name == "wire_split" else b""
        return [*(head + line + b"\n" for line in lines), head + b"\n".join(lines) + b"\n"]
    if name == "deckfile":
        page = (ROOT / "docs" / "processes.md").read_text("utf-8")
        return [block.partition("```")[0].encode() for block in page.split("```toml\n")[1:]]
    if name == "journal_rows":
        return [*CHANGED_ROWS, b"\n".join(b"%s 1 #1" % column.encode() for column in journals.COLUMNS)]
    if name == "journal_bytes":
        return CHANGED_BYTES
    if name == "journal_import":
        return list(journals.exported())
    if name == "settings":
        return [f"{row.key}={row.default}".encode() for row in describe()]
    if name == "variables":
        return [b'# c\n\nPORT=8000\nexport A = "x\\n\\"y"\nB=\'$\'\nC=d # e\n', b'A="', b"=", b"export"]
    said: list[guard_wire.Request | guard_wire.Report] = [
        guard_wire.Spawn("a", ("sh", "-c", "exit"), "/", {"A": "b"}),
        guard_wire.Release("a", 1),
        guard_wire.Policy("adopt", "/tmp/s"),
        guard_wire.Hello(1, 2, 3, "boot", "mark", None, (guard_wire.Living("a", 1, 2, "r", 1, True, False),)),
        guard_wire.Exited("a", 1, 2),
        guard_wire.Ping(),
        guard_wire.Pong(),
    ]
    return [guard_wire.encode(value) for value in said]
