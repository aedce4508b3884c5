"""Forks 200 children, every second of them into a session of its own, and does not look after them."""

import os
import signal

reader, writer = os.pipe()
for number in range(200):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if number % 2:
            os.setsid()
        os.write(writer, b".")
        while True:
            signal.pause()
seen = 0
while seen < 200:
    seen += len(os.read(reader, 200))
print("200 children", flush=True)
signal.pause()
