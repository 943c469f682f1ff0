"""The settings: frozen values, one class for each section of the file, with checks and defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from stemwatch.config import checks, notify_keys
from stemwatch.config.checks import Check, flag, maybe, number, one_of, whole
from stemwatch.config.groups import presets
from stemwatch.config.groups.name_patterns import Outbox
from stemwatch.config.groups.prepare_keys import Prepare
from stemwatch.config.groups.schedule import Window, checked_submit, windows
from stemwatch.config.web import (
    FOR_EVERYBODY,
    checked_hosts,
    checked_listen,
    checked_proxies,
    checked_public_url,
    host_port,
)
from stemwatch.job import STEM_FILES, Options
from stemwatch.loopback import is_loopback
from stemwatch.song_kinds import ALL

# The address of each wire at StemSplit: the default of api.base_url follows api.wire.
BASES = {"separate": "https://api.stemsplit.io/v1", "presigned": "https://stemsplit.io/api/v1"}
_SECONDS = "seconds"
_minutes = number(0.01, 1e7, "minutes")


class Named(NamedTuple):
    """A mapping whose names the user chooses: what a name must be, and what stands under it."""

    name: Check
    value: Check | type


def key(default: Any, check: Check) -> Any:
    """One key of the file, and what its value must be."""
    return field(default=default, metadata={"shape": check})


def section(kind: type) -> Any:
    """A mapping with the keys of `kind`."""
    return field(default_factory=kind, metadata={"shape": kind})


def names(name: Check, value: Check | type) -> Any:
    """A mapping of the user's own names, empty by default."""
    return field(default_factory=dict, metadata={"shape": Named(name, value)})


@dataclass(frozen=True)
class Folders:
    """The folders of an inbox; their paths are absolute once loaded."""

    inbox: str = key("~/stemwatch/inbox", checks.path)
    outbox: str = key("~/stemwatch/outbox", checks.path)
    quarantine: str = key("~/stemwatch/quarantine", checks.path)
    archive: str = key("~/stemwatch/archive", checks.path)
    after_success: str = key("archive", one_of("archive", "delete", "keep"))
    keep_archive_days: float | None = key(None, maybe(number(1, 36_500, "days")))

    def used(self) -> Iterator[tuple[str, str]]:
        """(name, path) of each folder that is needed, the inbox first."""
        yield "inbox", self.inbox
        yield "outbox", self.outbox
        yield "quarantine", self.quarantine
        if self.after_success == "archive":
            yield "archive", self.archive


@dataclass(frozen=True)
class Watch:
    mode: str = key("auto", one_of("auto", "inotify", "poll"))
    settle_seconds: float = key(5.0, number(0.05, 3600, _SECONDS))
    rescan_seconds: float = key(30.0, number(0.05, 86400, _SECONDS))
    extensions: tuple[str, ...] = key(ALL, checks.extensions)
    ignore: tuple[str, ...] = key((), checks.patterns)


@dataclass(frozen=True)
class Separation:
    stems: int = key(2, one_of(2, 4, 6))
    format: str = key("wav", one_of("wav", "flac", "mp3"))
    mixes: Mapping[str, tuple[str, ...]] = names(checks.mix_name, checks.texts)
    stem_file: str | None = key(None, maybe(one_of(*STEM_FILES)))

    @property
    def options(self) -> Options:
        """What is made of a song with these settings."""
        return Options(self.stems, self.format, dict(self.mixes), self.stem_file)


@dataclass(frozen=True)
class Tags:
    """`bpm`: the tempo in the stems' tags as it is, or rounded for programs that cut it off.

    `serato`: Serato's cue points and beat grid go along, where the codec stays the same.
    """

    bpm: str = key("exact", one_of("exact", "whole"))
    serato: bool = key(False, flag)


@dataclass(frozen=True)
class Limits:
    """Minutes of audio of one inbox; None: no limit of its own."""

    minutes_per_day: float | None = key(None, maybe(_minutes))
    minutes_per_month: float | None = key(None, maybe(_minutes))


@dataclass(frozen=True)
class Schedule:
    """The hours in which songs may be submitted, such as `22:00-07:00`; None: always."""

    submit: str | None = key(None, maybe(checked_submit))

    @property
    def windows(self) -> tuple[Window, ...]:
        """Begin and end of each window, in minutes after midnight; none: always."""
        return () if self.submit is None else windows(self.submit)


@dataclass(frozen=True)
class Inbox:
    """One person's folders and options. Once loaded, unset keys have the top level's values."""

    folders: Folders = section(Folders)
    separation: Separation = section(Separation)
    presets: Mapping[str, Separation] = names(checks.preset_name, Separation)
    budget: Limits = section(Limits)
    outbox: Outbox = section(Outbox)
    schedule: Schedule = section(Schedule)
    name: str | None = None  # None: the only inbox, made of the top level's `folders`

    def key(self, *parts: str) -> str:
        """How the file names a key of this inbox: `folders.outbox`, `inboxes.dj.folders.outbox`."""
        return ".".join((*self.at, *parts))

    @property
    def at(self) -> tuple[str, ...]:
        """The key of this inbox in the file; () for the only one."""
        return () if self.name is None else ("inboxes", self.name)

    def options_for(self, relpath: str) -> Options:
        """The options for the file at `relpath` (below the inbox, with "/").

        The first folder of the path chooses a preset by its name, in any capitals.
        """
        first, slash, _rest = relpath.partition("/")
        preset = presets.meant(first, self.presets) if slash else None
        chosen = self.separation if preset is None else self.presets[preset]
        return chosen.options


@dataclass(frozen=True)
class Api:
    """The API's address, key and pace. All times are in seconds."""

    base_url: str = key(BASES["separate"], checks.base_url)
    wire: str = key("separate", one_of("separate", "presigned"))
    key_file: str | None = key(None, maybe(checks.key_file))
    max_concurrent: int = key(3, whole(1, 64, "jobs"))
    requests_per_minute: int = key(60, whole(1, 100_000, "requests"))
    poll_interval: float = key(3.0, number(0.05, 3600, _SECONDS))
    job_deadline: float = key(300.0, number(1, 7 * 86400, _SECONDS))
    upload_timeout: float = key(300.0, number(1, 86400, _SECONDS))


@dataclass(frozen=True)
class Budget:
    """Price in `currency` for a minute of audio; limits in minutes of audio, None: no limit."""

    price_per_minute: float = key(0.10, number(0, 1000, "a minute"))
    minutes_per_day: float | None = key(None, maybe(_minutes))
    minutes_per_month: float | None = key(None, maybe(_minutes))
    currency: str = key("USD", checks.currency)


@dataclass(frozen=True)
class Web:
    """The service's own listener; `listen` None: there is none."""

    listen: str | None = key(None, maybe(checked_listen))
    public_url: str | None = key(None, maybe(checked_public_url))
    webhook_scheme: str | None = key(None, maybe(one_of("timestamped", "body")))
    webhook_secret_file: str | None = key(None, maybe(checks.path))
    page: bool = key(False, flag)
    password_file: str | None = key(None, maybe(checks.path))  # or `FOR_EVERYBODY`
    hosts: tuple[str, ...] = key((), checked_hosts)
    trusted_proxies: tuple[str, ...] = key((), checked_proxies)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on."""
        return None if self.listen is None else host_port(self.listen)

    @property
    def opened_by(self) -> str | None:
        """The key by which others than this machine reach the listener; None: they don't.

        A public URL is a proxy's, and its callers are the internet.
        """
        public = urlsplit(self.public_url or "").hostname
        opens = {
            "trusted_proxies": bool(self.trusted_proxies),
            "hosts": bool(self.hosts),
            "public_url": public is not None and not is_loopback(public),
            "listen": self.address is not None and not is_loopback(self.address[0]),
        }
        return next((name for name, does in opens.items() if does), None)

    @property
    def secret_file(self) -> str | None:
        """The file with the page's password; None: it has none."""
        return None if self.password_file == FOR_EVERYBODY else self.password_file


@dataclass(frozen=True)
class Notify:
    """Who gets which notices. `urls` are secrets; `every` seconds of events become one message."""

    urls: tuple[str, ...] = key((), notify_keys.urls)
    urls_file: str | None = key(None, maybe(checks.path))
    events: tuple[str, ...] = key(notify_keys.USUAL, notify_keys.events)
    every: float = key(60.0, number(0.05, 86400, _SECONDS))


@dataclass(frozen=True)
class Log:
    level: str = key("info", one_of("debug", "info", "warning", "error"))
    format: str = key("auto", one_of("auto", "console", "json"))


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured. Made by `load` or `defaults`: all paths are absolute."""

    folders: Folders = section(Folders)
    state_dir: str = key("", checks.path)
    watch: Watch = section(Watch)
    separation: Separation = section(Separation)
    tags: Tags = section(Tags)
    presets: Mapping[str, Separation] = names(checks.preset_name, Separation)
    outbox: Outbox = section(Outbox)
    inboxes: Mapping[str, Inbox] = names(checks.inbox_name, Inbox)
    prepare: Prepare = section(Prepare)
    schedule: Schedule = section(Schedule)
    api: Api = section(Api)
    budget: Budget = section(Budget)
    web: Web = section(Web)
    notify: Notify = section(Notify)
    hooks: Mapping[str, tuple[str, ...]] = names(notify_keys.event, notify_keys.command)
    log: Log = section(Log)
    # The file that these came from; None: built-in defaults. It is not a key of the file.
    source: str | None = field(default=None, compare=False)

    @property
    def local(self) -> bool:
        """Separate on this machine, through a server that we start ourselves."""
        return self.api.base_url == "local"

    @property
    def wire(self) -> str:
        """How the API is spoken to; the server on this machine speaks both."""
        return "separate" if self.local else self.api.wire

    @property
    def every_inbox(self) -> tuple[Inbox, ...]:
        """The inboxes in the file's order: those of `inboxes`, or the single one of `folders`."""
        if not self.inboxes:
            only = Inbox(self.folders, self.separation, self.presets)
            return (replace(only, outbox=self.outbox, schedule=self.schedule),)
        return tuple(replace(inbox, name=name) for name, inbox in self.inboxes.items())

    def inbox(self, name: str | None) -> Inbox | None:
        """The inbox of that name (None: the single one); None if there is none."""
        return next((inbox for inbox in self.every_inbox if inbox.name == name), None)

    def inbox_of(self, path: str) -> tuple[Inbox, str] | None:
        """The inbox that `path` lies in, and the path below it; None: it lies in none."""
        for inbox in self.every_inbox:
            relpath = os.path.relpath(path, inbox.folders.inbox)
            if relpath != ".." and not relpath.startswith("../"):
                return inbox, relpath
        return None
