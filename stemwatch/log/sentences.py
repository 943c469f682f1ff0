"""The events that a person at a terminal waits for, as sentences; all others stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Event = Mapping[str, Any]


def sentence(event: Event) -> str | None:
    """`Pop Song.mp3 delivered in 5 s: 100.0 BPM, C major -> /srv/outbox/Pop Song`; None: no such.

    A field that is missing is left out: a sentence must not cost the line that it stands for.
    """
    say = _SENTENCES.get(str(event.get("event")))
    return None if say is None else say(event)


def _song(event: Event) -> str:
    """Its path below the inbox, and the inbox's name where there are several."""
    inbox = event.get("inbox")
    path = event.get("relpath") or event.get("name") or "?"
    return f"{path} ({inbox})" if inbox else str(path)


def _why(event: Event) -> str:
    return " ".join(str(event[name]) for name in ("message", "hint") if event.get(name))


def _span(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "a while"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _delivered(event: Event) -> str:
    bpm, key = event.get("bpm"), event.get("key")
    tempo = f"{bpm:.1f} BPM" if isinstance(bpm, int | float) else "BPM unknown"
    again = " from earlier stems" if event.get("reused") else ""
    again = again or (" from its own stems" if event.get("unpacked") else "")
    took = _span(event.get("seconds"))
    found = f"{tempo}, {key or 'key unknown'} -> {event.get('folder')}"
    return f"{_song(event)} delivered{again} in {took}: {found}"


def _queued(event: Event) -> str:
    free = ", with its stems: nothing to pay" if event.get("stem_file") else ""
    return f"{_song(event)} taken in ({_span(event.get('seconds'))} of audio{free})"


def _waits(event: Event) -> str:
    wait = _span(event.get("seconds"))
    return f"{_song(event)} is tried again in {wait} ({event.get('code')}): {_why(event)}"


def _paused(event: Event) -> str:
    whose = f", {event['inbox']}" if event.get("inbox") else ""
    return f"Paused ({event.get('reason')}{whose}): {_why(event)}"


def _resumed(event: Event) -> str:
    whose = f" of {event['inbox']}" if event.get("inbox") else ""
    return f"Going on: the pause{whose} is over ({event.get('reason')})"


def _started(event: Event) -> str:
    why = f": {event['reason']}" if event.get("reason") else ""
    where = str(event.get("separates"))
    where = where if where.startswith("on ") else f"at {where}"
    watch = f"{event.get('watch')}{why}"
    return f"stemwatch {event.get('version')} watches {event.get('inbox')} ({watch}), {where}"


_SENTENCES: Mapping[str, Callable[[Event], str]] = {
    "job.queued": _queued,
    "job.delivered": _delivered,
    "job.quarantined": lambda e: f"{_song(e)} quarantined ({e.get('code')}): {_why(e)}",
    "job.waits": _waits,
    "job.sent_as_it_is": lambda e: f"{_song(e)} is sent as it is: {_why(e)}",
    "job.four_stems": lambda e: f"{_song(e)}: {e.get('note')}",
    "job.gone": lambda e: f"{_song(e)} left out: {e.get('reason')}",
    "archive.deleted": lambda e: f"{_song(e)} deleted from the archive (keep_archive_days)",
    "job.struck": lambda e: f"{_song(e)} is off the quarantine's list: {e.get('reason')}",
    "job.retried": lambda e: f"{_song(e)} is back from quarantine, as {e.get('state')}",
    "job.kept": lambda e: f"{_song(e)} stays where it is: {_why(e)}",
    "job.late": lambda e: f"{_song(e)} is late (api.job_deadline); it is still waited for",
    "job.unfiled": lambda e: f"{_song(e)} can't be moved from the inbox: {_why(e)}",
    "job.unanswered": lambda e: f"{_song(e)}: {_why(e)}",
    "job.taken_over": lambda e: f"{_song(e)}: {_why(e)}",
    "service.waits": lambda e: f"The start waits: {_why(e)}",
    "service.started": _started,
    "service.paused": _paused,
    "service.resumed": _resumed,
    "service.held": lambda e: f"Held ({e.get('reason')}): {_why(e)}",
    "service.stopping": lambda e: f"Stopping: {_why(e)}",
    "service.stopped": lambda e: "Stopped.",
}
