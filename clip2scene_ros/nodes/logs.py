"""The core's log lines (Python's `logging`) in the ROS log, not more often than a person can read."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import LoggingSeverity  # type: ignore[attr-defined]

QUIET_S = 5.0
"""One line of one kind in this time: a bad LiDAR speaks ten times a second."""


class RosHandler(logging.Handler):
    """Hands records to a node's logger; lines of one place in the code are throttled together."""

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger
        self._last_s: dict[tuple[str, int], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record, unless its place in the code spoke a moment ago."""
        place = (record.pathname, record.lineno)
        if record.created - self._last_s.get(place, 0.0) < QUIET_S:
            return
        self._last_s[place] = record.created
        severity = LoggingSeverity.WARN
        if record.levelno >= logging.ERROR:
            severity = LoggingSeverity.ERROR
        elif record.levelno < logging.WARNING:
            severity = LoggingSeverity.INFO
        self._logger.log(record.getMessage(), severity)
