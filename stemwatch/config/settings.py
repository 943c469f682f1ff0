"""The settings: frozen models, one class for each section of the file, with ranges and defaults."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, Strict

from stemwatch.job import Options

# Where each wire is at home: the default of api.base_url follows api.wire.
BASES = {"separate": "https://api.stemsplit.io/v1", "presigned": "https://stemsplit.io/api/v1"}
EXTENSIONS = ("mp3", "wav", "flac", "m4a", "ogg", "webm")
_LAN_SUFFIXES = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa")


def _between(low: float, high: float, unit: str) -> Callable[[float], float]:
    def check(value: float) -> float:
        if not low <= value <= high:  # NaN fails here too
            raise ValueError(f"found {value:g}; allowed is {low:g} to {high:g} {unit}")
        return value

    return check


def _whole(low: int, high: int, unit: str) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"found {value}; allowed is {low} to {high} {unit}")
        return value

    return check


def _path(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("must be the path of a file or folder, not empty and without NUL")
    return value


def _key_file(value: str) -> str:
    # Somebody who pastes the key here must not find it in the log afterwards.
    if len(value) >= 20 and not re.search(r"[/.]", value):
        raise ValueError("looks like the key itself; put the key in a file and name that file here")
    return _path(value)


def _extensions(value: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(item.strip().lower().removeprefix(".") for item in value))
    unknown = [item for item in found if item not in EXTENSIONS]
    if unknown or not found:
        what = f"found {', '.join(map(repr, unknown))}" if unknown else "found an empty list"
        raise ValueError(f"{what}; allowed are {', '.join(EXTENSIONS)}")
    return found


def _patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(item.strip() for item in value):
        raise ValueError("found an empty pattern; allowed are name patterns such as '*.bak'")
    return value


def _component(name: str, what: str) -> str:
    """A name that becomes (part of) one file or folder name, never a path."""
    if not name or name[0] == "." or len(name) > 64 or re.search(r"[/\x00-\x1f\x7f]", name):
        raise ValueError(
            f"{what} must be one plain name: no slash, no leading dot, at most 64 characters"
        )
    return name


def _mix_name(name: str) -> str:
    return _component(name, "the name of a mix")


def _preset_name(name: str) -> str:
    return _component(name, "the name of a preset (a folder directly in the inbox)")


def _is_lan(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host or host.endswith(_LAN_SUFFIXES)
    return address.is_private or address.is_loopback or address.is_link_local


def _base_url(value: str) -> str:
    """`local`, or a bare URL. The value is never repeated: it may hold a password."""
    if value == "local":
        return value
    allowed = "allowed are local, or a URL such as https://api.stemsplit.io/v1"
    if not re.fullmatch(r"[!-\[\]-~]+", value):  # printable ASCII; urlsplit drops newlines silently
        raise ValueError(f"is not a URL; {allowed}")
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"has a host or port that can't be read; {allowed}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"is not an http or https URL; {allowed}")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use api.key_file")
    if "?" in value or "#" in value:
        raise ValueError("must not have a query or a fragment ('?' or '#')")
    if parts.scheme == "http" and not _is_lan(host):
        raise ValueError(f"would send the key to {host} in clear; use https")
    return value.rstrip("/")


def _later(value: str | None) -> str | None:
    if value is not None:
        raise ValueError("is not in this version yet; leave it null")
    return value


def _seconds(low: float, high: float) -> AfterValidator:
    return AfterValidator(_between(low, high, "seconds"))


Path = Annotated[str, AfterValidator(_path)]
Texts = Annotated[tuple[str, ...], Strict(False)]  # YAML gives lists; kept frozen as tuples
MixName = Annotated[str, AfterValidator(_mix_name)]
PresetName = Annotated[str, AfterValidator(_preset_name)]
Minutes = Annotated[float, AfterValidator(_between(0.01, 1e7, "minutes"))]
NotYet = Annotated[str | None, AfterValidator(_later)]


class Section(BaseModel):
    """Closed, frozen and strict: `true` is no number, `"2"` is no number of stems."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Folders(Section):
    """Absolute once loaded."""

    inbox: Path = "~/stemwatch/inbox"
    outbox: Path = "~/stemwatch/outbox"
    quarantine: Path = "~/stemwatch/quarantine"
    archive: Path = "~/stemwatch/archive"
    after_success: Literal["archive", "delete", "keep"] = "archive"


class Watch(Section):
    mode: Literal["auto", "inotify", "poll"] = "auto"
    settle_seconds: Annotated[float, _seconds(0.05, 3600)] = 5.0
    rescan_seconds: Annotated[float, _seconds(0.05, 86400)] = 30.0
    extensions: Annotated[Texts, AfterValidator(_extensions)] = EXTENSIONS
    ignore: Annotated[Texts, AfterValidator(_patterns)] = ()


class Separation(Section):
    stems: Literal[2, 4, 6] = 2
    format: Literal["wav", "flac", "mp3"] = "wav"
    mixes: Mapping[MixName, Texts] = {}


class Api(Section):
    """Seconds, and calls a minute."""

    base_url: Annotated[str, AfterValidator(_base_url)] = BASES["separate"]
    wire: Literal["separate", "presigned"] = "separate"
    key_file: Annotated[str, AfterValidator(_key_file)] | None = None
    max_concurrent: Annotated[int, AfterValidator(_whole(1, 64, "jobs"))] = 3
    requests_per_minute: Annotated[int, AfterValidator(_whole(1, 100_000, "requests"))] = 60
    poll_interval: Annotated[float, _seconds(0.05, 3600)] = 3.0
    job_deadline: Annotated[float, _seconds(1, 7 * 86400)] = 300.0
    upload_timeout: Annotated[float, _seconds(1, 86400)] = 300.0


class Budget(Section):
    """Price in your currency for a minute of audio; limits in minutes of audio, None: no limit."""

    price_per_minute: Annotated[float, AfterValidator(_between(0, 1000, "a minute"))] = 0.10
    minutes_per_day: Minutes | None = None
    minutes_per_month: Minutes | None = None


class Web(Section):
    listen: NotYet = None
    public_url: NotYet = None


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(Section):
    """Everything that can be configured. Made by `load` or `defaults`: all paths are absolute."""

    folders: Folders = Folders()
    state_dir: Path = ""
    watch: Watch = Watch()
    separation: Separation = Separation()
    presets: Mapping[PresetName, Separation] = {}
    api: Api = Api()
    budget: Budget = Budget()
    web: Web = Web()
    log: Log = Log()

    # Private, so that the file itself can't set it.
    _source: str | None = PrivateAttr(default=None)

    @property
    def source(self) -> str | None:
        """The file that these settings came from; None: built-in defaults."""
        return self._source

    @property
    def local(self) -> bool:
        """Separate on this machine, through a server that we start ourselves."""
        return self.api.base_url == "local"

    @property
    def wire(self) -> str:
        """How the API is spoken to; the server on this machine speaks both."""
        return "separate" if self.local else self.api.wire

    def options_for(self, relpath: str) -> Options:
        """What to make of the file at `relpath` (below the inbox, with "/").

        The first folder of the path chooses a preset by its exact name.
        """
        first, slash, _rest = relpath.partition("/")
        chosen = self.presets.get(first, self.separation) if slash else self.separation
        return Options(stems=chosen.stems, format=chosen.format, mixes=dict(chosen.mixes))
