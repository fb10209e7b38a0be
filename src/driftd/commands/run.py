"""`driftd run`: the daemon, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import structlog

from driftd.app import Daemon
from driftd.core.fault import UserError
from driftd.settings.load import load
from driftd.settings.schema import Settings


def main(config: Path, state: Path | None = None) -> int:
    """Runs in the foreground. SIGTERM and SIGINT commit what was read and end it, SIGHUP reads the settings anew.

    Raises UserError.
    """
    configure_logs()

    def read() -> Settings:
        settings = load(config, os.environ)
        if state is None:
            return settings
        return settings.model_copy(update={"state": settings.state.model_copy(update={"directory": state})})

    daemon = Daemon(read(), reread=read)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    def reload(_signal: int, _frame: FrameType | None) -> None:
        # The handler runs in the loop's thread, which it must not wait for.
        threading.Thread(target=_reload, args=(daemon,), name="reload", daemon=True).start()

    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    daemon.run(stop)
    return 0


def _reload(daemon: Daemon) -> None:
    with contextlib.suppress(UserError):  # it is in the log, and in the metrics
        daemon.reload()


def configure_logs() -> None:
    """To stderr: JSON lines for machines, readable lines on a terminal. Never payloads, never secrets."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
