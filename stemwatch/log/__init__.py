"""The log: one dotted event with named fields for each outcome, and never a key or a signed URL."""

from stemwatch.log.redact import printable
from stemwatch.log.setup import configure, hide, log, redacted, redacted_or_none, report_crashes

__all__ = [
    "configure",
    "hide",
    "log",
    "printable",
    "redacted",
    "redacted_or_none",
    "report_crashes",
]
