"""Tells what it finds: where it is, and what of its surroundings a program can see."""

import json
import os
import resource
import signal
from pathlib import Path

print(
    json.dumps(
        {
            "argv0": os.path.basename(__file__),
            "cwd": os.getcwd(),
            "pid": os.getpid(),
            "session": os.getsid(0),
            "group": os.getpgrp(),
            "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
            "stdin": os.readlink("/proc/self/fd/0"),
            "ignored": [
                int(signum)
                for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD)
                if signal.getsignal(signum) is signal.SIG_IGN
            ],
            "status": [
                line
                for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith(("SigBlk", "SigIgn"))
            ],
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "data": resource.getrlimit(resource.RLIMIT_DATA)[0],
            "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
            "child": os.environ.get("QUARTERDECK_CHILD"),
            "tree": os.environ.get("QUARTERDECK_TREE"),
            "color": os.environ.get("COLOR"),
        }
    ),
    flush=True,
)
