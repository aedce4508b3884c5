"""What a fuzzer begins with: lines, files and settings of every kind that there is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from quarterdeck.config import describe
from quarterdeck.drivers import guard_wire
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


def seeds(name: str) -> list[bytes]:
    """For a target."""
    if name.startswith("wire"):
        lines = TOLD if name == "wire_launcher" else [*COMMAND_LINES, *ODD_LINES]
        head = b"\x05" if name == "wire_split" else b""
        return [*(head + line + b"\n" for line in lines), head + b"\n".join(lines) + b"\n"]
    if name == "deckfile":
        page = (ROOT / "docs" / "processes.md").read_text("utf-8")
        return [block.partition("```")[0].encode() for block in page.split("```toml\n")[1:]]
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
    ]
    return [guard_wire.encode(value) for value in said]
