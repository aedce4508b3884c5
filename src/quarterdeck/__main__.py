"""python -m quarterdeck: the same as the command `quarterdeck`."""

from __future__ import annotations

import sys

from quarterdeck.ui.cli import main

if __name__ == "__main__":
    sys.exit(main())
