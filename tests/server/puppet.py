"""puppet.py [--uid N] ADDRESS LINE...: a client in a process of its own, which can be killed.

Connects, sends the lines (`$PID` in them stands for its own pid), prints every line that it is sent until `registered`
or the end of file, and then lives until its standard input ends. Only the standard library, to start fast.
"""

from __future__ import annotations

import os
import socket
import sys


def main(arguments: list[str]) -> None:
    if arguments[0] == "--uid":
        os.setgid(int(arguments[1]))
        os.setuid(int(arguments[1]))
        arguments = arguments[2:]
    address, *lines = arguments
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(address)
        try:
            sock.sendall("".join(line.replace("$PID", str(os.getpid())) + "\n" for line in lines).encode())
        except BrokenPipeError:  # refused and closed already; the reason can still be read
            pass
        for line in sock.makefile():
            print(line, end="", flush=True)
            if '"registered"' in line:
                break
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
