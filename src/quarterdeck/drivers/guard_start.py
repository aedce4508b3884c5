"""Guard start: what Python runs as the guard (see `guard_wire.guard_command`).

A file that is run is compiled at each start, one that is imported is not; so there is only this much of it. Run without
site packages, it says itself where the package is.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.platform != "win32":
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, os.path.dirname(package))
    from quarterdeck.drivers.guard import main

    main()
