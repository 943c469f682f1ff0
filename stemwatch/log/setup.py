"""Sets the log up: what a line holds, where it goes, and which secrets are cut out of it.

    from stemwatch.log import log
    log.info("job.delivered", name="song.mp3", seconds=41.2, bpm=124.0)

Everything goes to stderr: stdout belongs to results and to the protocol of helper processes.
Records of the standard library (watchdog, uvicorn, asyncio) take the same way out.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterable, MutableMapping
from types import TracebackType
from typing import IO, Any, TypeAlias

from stemwatch.lean_imports import without
from stemwatch.log.redact import Redactor, printable
from stemwatch.log.render import as_console, as_json

with without("rich", "greenlet"):
    import structlog

# The lowest levels of libraries that log too much. httpx logs whole signed URLs at INFO.
_FLOORS = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "asyncio": logging.INFO,
    "watchdog": logging.CRITICAL,  # the observer sees, mends and logs its faults
    "multipart": logging.WARNING,
    "python_multipart": logging.WARNING,
}
Event: TypeAlias = MutableMapping[str, Any]

_redactor = Redactor()
log: Any = structlog.get_logger()


class _Sink:
    """Writes one event as one line; whatever goes wrong, the caller goes on."""

    def __init__(self, stream: IO[str] | None, format: str) -> None:
        self.stream = stream
        self.format = format
        self.lock = threading.Lock()

    def write(self, event: Event) -> None:
        stream = self.stream or sys.stderr
        try:
            on_terminal = stream is not None and stream.isatty()
            console = self.format == "console" or (self.format == "auto" and on_terminal)
            clean = _redactor.event(event)
            line = as_console(clean, colour=on_terminal) if console else as_json(clean)
            encoding = getattr(stream, "encoding", None) or "utf-8"
            line = line.encode(encoding, "backslashreplace").decode(encoding)
            with self.lock:
                stream.write(line + "\n")
                stream.flush()
        except Exception:  # noqa: S110 - a closed stderr or an odd field stops no song
            pass


class _Logger:
    """What structlog calls at the end of its chain: the event dictionary as keywords."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink

    def msg(self, **event: Any) -> None:
        self._sink.write(event)

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Records of the standard library as events of ours."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # a library's wrong format string
            text = str(record.msg)
        event: Event = {"event": text, "level": record.levelname.lower(), "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        self._sink.write(_stamp(None, "", _traceback(None, "", event)))


def configure(
    level: str = "info",
    format: str = "auto",
    *,
    secrets: Iterable[str] = (),
    stream: IO[str] | None = None,
) -> None:
    """Set logging up for this process; may be called again.

    `level` and `format` as in the configuration; `stream` None is stderr. `secrets` are removed
    from everything that is logged from now on.
    """
    hide(*secrets)
    sink = _Sink(stream, format)
    number = logging.getLevelNamesMapping()[level.upper()]
    _configure_structlog(sink, number)
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge(sink))
    root.setLevel(number)
    for name, floor in _FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, number))


def hide(*secrets: str) -> None:
    """Remove these texts from everything that is logged from now on."""
    _redactor.add(*secrets)


def redacted(text: str) -> str:
    """`text` without secrets and signed URLs, safe to print where no log is."""
    return printable(_redactor.text(text))


def redacted_or_none(text: str | None) -> str | None:
    """The same; None stays None."""
    return None if text is None else redacted(text)


def report_crashes() -> None:
    """Log uncaught exceptions of any thread, instead of printing a traceback past the redaction."""

    def crashed(kind: type[BaseException], error: BaseException, trace: Any, thread: str) -> None:
        info: tuple[type[BaseException], BaseException, TracebackType | None] = (kind, error, trace)
        log.critical("process.crashed", thread=thread, exc_info=info)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            name = args.thread.name if args.thread else "?"
            crashed(args.exc_type, args.exc_value, args.exc_traceback, name)

    sys.excepthook = lambda kind, error, trace: crashed(kind, error, trace, "main")
    threading.excepthook = in_thread


def _configure_structlog(sink: _Sink, level: int) -> None:
    structlog.configure(
        processors=[structlog.processors.add_log_level, _stamp, _traceback, _hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_args: _Logger(sink),
        cache_logger_on_first_use=False,
    )


def _stamp(_logger: Any, _method: str, event: Event) -> Event:
    now = time.time()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    event["timestamp"] = f"{whole}.{int(now % 1 * 1000):03d}Z"
    return event


def _traceback(_logger: Any, _method: str, event: Event) -> Event:
    try:
        formatted = structlog.processors.format_exc_info(None, "", event)
    except Exception:  # an exception whose own text raises
        event["exc_info"] = "unprintable"
        return event
    return formatted


def _hand_over(_logger: Any, _method: str, event: Event) -> tuple[tuple[()], Event]:
    return (), event


# Before `configure`, structlog would print to stdout, where helper processes speak their protocol.
_configure_structlog(_Sink(None, "auto"), logging.INFO)
