"""Does not end when it is asked to, and neither does its child."""

import os
import signal

for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(signum, signal.SIG_IGN)
if os.fork() == 0:
    while True:
        signal.pause()
print("stubborn", flush=True)
while True:
    signal.pause()
