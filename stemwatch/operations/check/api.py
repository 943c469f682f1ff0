"""`check`, the API: where the key is found, whether the API answers, how much credit is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stemwatch.codes import Code
from stemwatch.config import Settings
from stemwatch.config.api_key import find_key, no_key_fault
from stemwatch.config.settings import BASES
from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.extras import LOCAL
from stemwatch.log import hide
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding
from stemwatch.operations.words import LITTLE, minutes
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.detect import siblings, wire_at
from stemwatch.stemsplit.line.transport import place
from stemwatch.stemsplit.wires import open_api

API_SECONDS = 15.0  # for each question
# Codes of answers from an address that is not the API's, or that speaks another wire.
_ELSEWHERE = frozenset({Code.ENDPOINT, Code.BAD_ANSWER, Code.REDIRECTED, Code.JOB_MISSING})


async def reach(settings: Settings, env: Mapping[str, str], cwd: str) -> Sequence[Finding]:
    """Look for the key, then ask the API only questions that cost nothing."""
    if settings.local:
        return [Finding(OK, "key: none needed, this machine separates"), _this_machine()]
    key, about_key = _key(settings, env, cwd)
    return [about_key, await _api(settings, key)]


def _key(settings: Settings, env: Mapping[str, str], cwd: str) -> tuple[str | None, Finding]:
    try:
        found = find_key(settings, env=env, cwd=cwd)
        if found is None:
            raise no_key_fault()
    except ConfigFault as fault:
        return None, Finding(FAULT, f"key: {' '.join(fault.faults)}", fault.hint)
    hide(found.key)
    return found.key, Finding(OK, f"key: found in {found.place}; its form is right")


def _this_machine() -> Finding:
    try:
        LOCAL.require()
    except StemwatchError as fault:
        return Finding(FAULT, f"API: {fault.message}", fault.hint)
    return Finding(OK, "API: this machine; what it needs is installed")


async def _api(settings: Settings, key: str | None) -> Finding:
    """Check that the configured wire answers and accepts the key, and ask for the credit."""
    base, wire = settings.api.base_url, settings.wire
    try:
        calls = Calls(base, key, poll_timeout=API_SECONDS)
    except ConfigFault as fault:
        return Finding(FAULT, f"API: {' '.join(fault.faults)}", fault.hint)
    try:
        spoken = await wire_at(calls)
        if spoken != wire and (moved := await _moved(base, wire, spoken, key)) is not None:
            return moved
        if key is None:
            return _keyless(base, spoken)
        api = open_api(wire, calls)
        await api.check_key()
        return _reached(base, spoken, await api.balance())
    except StemwatchError as fault:
        if fault.code in _ELSEWHERE and (moved := await _moved(base, wire, None, key)) is not None:
            return moved
        return _unreached(fault, wire, key)
    finally:
        await calls.aclose()


async def _moved(base: str, wire: str, spoken: str | None, key: str | None) -> Finding | None:
    """The finding that `base` does not speak the configured wire, with the settings that work.

    Tries `base` with another wire, and the other usual path of the same server: the key goes to no
    other server. None: nothing answers there.
    """
    ways = [f"api.wire: {spoken}"] if spoken else []
    there = ""
    for other in siblings(base):
        found = await _wire_at(other, key)
        if found is not None and (found == wire or not ways):
            more = "" if found == wire else f" and api.wire: {found}"
            ways.append(f"api.base_url: {other}{more}")
            there = there or f"{_shown(other)} answers to the wire {found}"
    if not ways:
        return None
    here = (
        f"answers to the wire {spoken}, not {wire}"
        if spoken
        else f"does not answer to the wire {wire}"
    )
    text = f"API: {_shown(base)} {here}" + ("" if spoken else f"; {there}")
    return Finding(FAULT, text, f"Set {', or '.join(ways)}.")


def _shown(base: str) -> str:
    return place(base).rstrip("/")


async def _wire_at(base: str, key: str | None) -> str | None:
    calls = Calls(base, key, poll_timeout=API_SECONDS)
    try:
        return await wire_at(calls)
    except StemwatchError:
        return None
    finally:
        await calls.aclose()


def _keyless(base: str, spoken: str | None) -> Finding:
    speaks = f"and speaks the wire {spoken}" if spoken else "but does not tell which wire it speaks"
    told = f"API: {_shown(base)} answers, {speaks}; whether it takes the key was not asked"
    return Finding(WARNING, told, "There is no usable key to ask with.")


def _reached(base: str, spoken: str | None, credit: float | None) -> Finding:
    if spoken is None:
        return Finding(
            WARNING,
            f"API: {_shown(base)} takes the key, but does not tell which wire it speaks",
            "If submissions fail, check api.base_url and api.wire.",
        )
    if credit is None:
        return Finding(OK, "API: reachable, and it takes the key")
    told = f"API: reachable, takes the key, {minutes(credit)} of credit left"
    if credit < LITTLE:
        return Finding(WARNING, told, "Songs wait in the inbox until there is more.")
    return Finding(OK, told)


def _unreached(fault: StemwatchError, wire: str, key: str | None) -> Finding:
    if fault.code == Code.RATE_LIMITED:
        return Finding(WARNING, f"API: {fault.message}", "It answers, but is busy right now.")
    if fault.code == Code.AUTH and key is None:
        return Finding(WARNING, f"API: it wants a key ({fault.message})", "There is no usable one.")
    hint = fault.hint
    if fault.code in _ELSEWHERE:
        hint = f"{hint} StemSplit itself is at {BASES[wire]} (api.wire: {wire}).".lstrip()
    return Finding(FAULT, f"API: {fault.message}", hint)
