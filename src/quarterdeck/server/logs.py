"""Log lines: the standard logging module's records, rendered by structlog to stderr.

structlog is imported by a thread of its own once the launcher serves, not at start-up: importing it takes longer than
everything else does.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import Literal


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Write log lines of at least `level` ("debug" … "error") to stderr, as text or as one JSON object a line."""
    logger = logging.getLogger("quarterdeck")
    logger.setLevel(level.upper())
    for previous in list(logger.handlers):
        if isinstance(previous.formatter, Rendered):
            logger.removeHandler(previous)
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(Rendered(form))
    logger.addHandler(to_stderr)
    logger.propagate = False


def warm() -> None:
    """Import structlog beside the event loop, so that no log line stops it."""
    for handler in logging.getLogger("quarterdeck").handlers:
        if isinstance(handler.formatter, Rendered):
            threading.Thread(target=handler.formatter.prepare, name="warm-logs", daemon=True).start()


class Rendered(logging.Formatter):
    """Renders records by structlog once `prepare` has imported it; before, and where it cannot be had, plainly."""

    def __init__(self, form: Literal["text", "json"]) -> None:
        super().__init__("%(asctime)s [%(levelname)s] %(message)s [%(name)s]")
        self._form = form
        self._renderer: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        if self._renderer is not None:
            return self._renderer.format(record)
        if self._form == "text":
            return super().format(record)
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        level = record.levelname.lower()
        line = {"event": record.getMessage(), "level": level, "logger": record.name, "timestamp": at}
        return json.dumps(line)

    def prepare(self) -> None:
        """Import what rendering needs. Never raises: a log line is not worth the launcher."""
        try:
            self._renderer = _renderer(self._form)
        except Exception:
            logging.getLogger("quarterdeck.server").debug("no structlog: plain log lines", exc_info=True)


def _renderer(form: Literal["text", "json"]) -> logging.Formatter:
    import structlog
    from structlog.typing import Processor

    stamped: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=stamped,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
