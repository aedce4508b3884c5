"""`--golden-rewrite`: write the transcripts anew instead of comparing them. Give the folder: `pytest tests/golden
--golden-rewrite`.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-rewrite",
        action="store_true",
        default=False,
        help="write tests/golden/*.txt anew from what the launcher answers; frozen ones stay",
    )
