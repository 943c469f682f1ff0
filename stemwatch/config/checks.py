"""Checks of single values of the configuration: each returns the value to keep, or says why not.

A check raises ValueError with a sentence about its value, or `Wrong` with several.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from stemwatch.config.document import Fault
from stemwatch.config.faults import show
from stemwatch.loopback import HOME_SUFFIXES
from stemwatch.song_kinds import ALL

Check = Callable[[Any], Any]


class Wrong(ValueError):
    """Several faults inside one value, each with its key below that value's key."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        self.faults = faults


def text(value: Any) -> str:
    """Text that can be written as UTF-8; an escape such as "\\ud800" in the file can't."""
    if isinstance(value, str):
        try:
            value.encode()
            return value
        except UnicodeEncodeError:
            pass
    raise ValueError(f"found {show(value)}; allowed is text")


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, as a tuple."""
    if not isinstance(value, list):
        raise ValueError(f"found {show(value)}; allowed is a list such as [a, b]")
    return each(text, value)


def each(check: Check, values: Iterable[Any]) -> tuple[Any, ...]:
    """The results of `check` for all `values`; raises Wrong with every fault."""
    kept, faults = [], []
    for index, item in enumerate(values):
        try:
            kept.append(check(item))
        except ValueError as wrong:
            faults.append(Fault((index,), str(wrong)))
    if faults:
        raise Wrong(*faults)
    return tuple(kept)


def one_of(*allowed: int | str) -> Check:
    """One of these values, and of the same type: 2.0 is not a number of stems."""
    *most, last = map(repr, allowed)

    def check(value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in allowed):
            named = f"{', '.join(most)} or {last}"
            raise ValueError(f"found {show(value)}; allowed are {named}")
        return value

    return check


def flag(value: Any) -> bool:
    """`true` or `false`; "yes", 1 and the like are none."""
    if not isinstance(value, bool):
        raise ValueError(f"found {show(value)}; allowed are true or false")
    return value


def number(low: float, high: float, unit: str) -> Check:
    """A number, whole or not; `true` is not one."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"found {show(value)}; allowed is a number")
        if not low <= value <= high:  # NaN fails here too
            raise ValueError(f"found {show(value)}; allowed is {low:.10g} to {high:.10g} {unit}")
        return float(value)

    return check


def whole(low: int, high: int, unit: str) -> Check:
    """A whole number; `3.0` is not one."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"found {show(value)}; allowed is a whole number")
        if not low <= value <= high:
            raise ValueError(f"found {show(value)}; allowed is {low} to {high} {unit}")
        return value

    return check


def maybe(check: Check) -> Check:
    """What `check` takes, or null."""
    return lambda value: None if value is None else check(value)


def path(value: Any) -> str:
    """The path of a file or folder."""
    given = text(value)
    if not given.strip() or "\0" in given:
        raise ValueError("must be the path of a file or folder, not empty and without NUL")
    return given


def key_file(value: Any) -> str:
    """The path of a file with the key."""
    # Somebody who pastes the key here must not find it in the log afterwards.
    if len(text(value)) >= 20 and not re.search(r"[/.]", value):
        raise ValueError("looks like the key itself; put the key in a file and name that file here")
    return path(value)


def extensions(value: Any) -> tuple[str, ...]:
    """File formats, in any case and with or without a dot; each is kept once. None: all."""
    if value is None:
        return ALL
    given = (item.strip().lower().removeprefix(".") for item in texts(value))
    found = tuple(dict.fromkeys(given))
    unknown = [item for item in found if item not in ALL]
    if unknown or not found:
        what = f"found {', '.join(map(repr, unknown))}" if unknown else "found an empty list"
        raise ValueError(f"{what}; allowed are {', '.join(ALL)}")
    return found


def currency(value: Any) -> str:
    """How amounts of money are named."""
    given = text(value).strip()
    if not 0 < len(given) <= 8 or not given.isprintable() or re.search(r"[\s\d]", given):
        raise ValueError(f"found {show(value)}; allowed is a currency such as USD, EUR or €")
    return given


def patterns(value: Any) -> tuple[str, ...]:
    """A list of name patterns, none of them empty."""
    found = texts(value)
    if not all(item.strip() for item in found):
        raise ValueError("found an empty pattern; allowed are name patterns such as '*.bak'")
    return found


def _component(name: Any, what: str) -> str:
    """A name that becomes (part of) one file or folder name, never a path."""
    if not text(name) or name[0] == "." or len(name) > 64 or re.search(r"[/\x00-\x1f\x7f]", name):
        raise ValueError(
            f"{what} must be one plain name: no slash, no leading dot, at most 64 characters"
        )
    return str(name)


def mix_name(name: Any) -> str:
    """The name of a mix."""
    return _component(name, "the name of a mix")


def preset_name(name: Any) -> str:
    """The name of a folder in the inbox."""
    return _component(name, "the name of a preset (a folder directly in the inbox)")


def inbox_name(name: Any) -> str:
    """The name of one of several inboxes: said in logs and on command lines."""
    if not re.fullmatch(r"[^\W_][\w-]{0,31}", text(name)):
        raise ValueError(
            "the name of an inbox must be one plain word: letters, digits, '-' and '_', at most 32"
        )
    return str(name)


def _is_lan(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host or host.endswith(HOME_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local


def url_parts(value: str, kind: str, allowed: str) -> tuple[SplitResult, str]:
    """The parts and the host of an http(s) URL. Raises ValueError, without repeating the value."""
    if not re.fullmatch(r"[!-\[\]-~]+", value):  # printable ASCII; urlsplit drops newlines silently
        raise ValueError(f"is not a URL; {allowed}")
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"has a host or port that can't be read; {allowed}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"is not {kind}; {allowed}")
    return parts, host


def base_url(value: Any) -> str:
    """`local`, or a bare URL. The value is never repeated: it may hold a password."""
    if text(value) == "local":
        return "local"
    allowed = "allowed are local, or a URL such as https://api.stemsplit.io/v1"
    parts, host = url_parts(value, "an http or https URL", allowed)
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use api.key_file")
    if "?" in value or "#" in value:
        raise ValueError("must not have a query or a fragment ('?' or '#')")
    if parts.scheme == "http" and not _is_lan(host):
        raise ValueError(f"would send the key to {host} unencrypted; use https")
    return str(value).rstrip("/")
