"""Finds the wire that an address speaks, with requests that cost nothing and change nothing."""

from __future__ import annotations

from collections.abc import Sequence

from stemwatch.errors import StemwatchError
from stemwatch.stemsplit.answers import Answer, get_fault, post_fault
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.separate import KEY_PROBE
from stemwatch.stemsplit.wires import PRESIGNED, SEPARATE

_VERSIONS = ("/api/v1", "/v1")  # where each wire usually is, the longer one first
_NOT_HERE = {404, 405}


async def wire_at(calls: Calls) -> str | None:
    """The wire that the API behind `calls` speaks, with or without a key; None: it doesn't tell.

    A server that asks everybody for a key, whatever the path is, tells nothing about its paths.
    Raises a fault where there is no API at all: a web page, a redirect, an outage, no answer.
    """
    balance = await calls.get("/balance")
    if _is_balance(balance):
        return PRESIGNED
    job = await calls.get(f"/jobs/{KEY_PROBE}")
    if job.json() is None or job.status >= 500:
        raise _no_api(job)
    if _coded(balance) or _coded(job):
        return None  # a server of wire B, but not its base address
    known = balance.status in _NOT_HERE and job.status not in _NOT_HERE
    # A server that knows jobs answers "no such job" in other words than "no such path".
    if known or (job.status == 404 and job.body != balance.body):
        return SEPARATE
    return SEPARATE if (await calls.get("/separate")).status == 405 else None


def siblings(base_url: str) -> Sequence[str]:
    """The other base URLs on the same server where an API may be."""
    base = base_url.rstrip("/")
    for version in _VERSIONS:
        if base.endswith(version):
            root = base.removesuffix(version)
            return [root + other for other in _VERSIONS if other != version]
    return [base + version for version in _VERSIONS]


def _is_balance(answer: Answer) -> bool:
    """Whether it tells the credit, or refuses in the form that only wire B uses."""
    if answer.status == 200:
        return "balanceSeconds" in (answer.json() or {})
    return answer.status in {401, 402, 403, 429} and _coded(answer)


def _coded(answer: Answer) -> bool:
    """Whether it is `{"error": {"code": ...}}`, wire B's form of every error."""
    fault = (answer.json() or {}).get("error")
    return isinstance(fault, dict) and isinstance(fault.get("code"), str)


def _no_api(answer: Answer) -> StemwatchError:
    if answer.status in _NOT_HERE or 300 <= answer.status < 400:
        return post_fault(answer, body_sent=False)
    return get_fault(answer)
