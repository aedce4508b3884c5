"""Leaves a daemon behind that nothing connects with us: two forks, a session of its own, an empty environment.

It is called after the token of the test that looks for it.
"""

import os
import signal
import sys

reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writer, b"daemon %d" % os.getpid())
        os.close(writer)
        os.execve("/bin/sleep", [os.environ["TEST_TOKEN"], "100000"], {})
    os._exit(0)
os.close(writer)
os.wait()
print(os.read(reader, 100).decode(), flush=True)
if sys.argv[1:] == ["stay"]:
    signal.pause()
