"""Forks without end, at most 64 alive below each: whoever kills it races it."""

import os
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("forking", flush=True)
alive = 0
while True:
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            signal.alarm(3600)
            signal.pause()
        os._exit(0)
    os.wait()
    alive += 1
    if alive == 64:
        signal.pause()
