"""Words for the files that lie in an inbox and are not taken: one sentence, or one line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stemwatch.operations.standing import not_taken as reasons

Document = dict[str, Any]
_ENDINGS = 4  # file name endings that are named
# For each reason, the words for one file and for several.
_WORDS = {
    reasons.CHANGING: ("still changes", "still change"),
    reasons.WRITING: ("is still open for writing", "are still open for writing"),
    reasons.INCOMPLETE: ("is incomplete", "are incomplete"),
    reasons.HELD: ("has a temp file beside it", "have a temp file beside them"),
    reasons.UNFINISHED: ("is a download under way", "are downloads under way"),
    reasons.NEXT: ("is next", "are next"),
    reasons.NEAR_MISS: ("is in no preset's folder, nearly", "are in no preset's folder, nearly"),
    reasons.KIND: ("is no song", "are no songs"),
    reasons.HIDDEN: ("is hidden", "are hidden"),
    reasons.IGNORED: ("is ignored by a pattern", "are ignored by patterns"),
    reasons.NAME: ("has a name that is not taken", "have names that are not taken"),
    reasons.LINK: ("is a link", "are links"),
    reasons.UNREADABLE: ("can't be read", "can't be read"),
}

# What stays where it is, whatever happens.
_LEFT = {reasons.KIND, reasons.HIDDEN, reasons.IGNORED, reasons.NAME, reasons.LINK}


def sentence(waits: Document, *, running: bool) -> str:
    """One sentence: `2 wait: 1 still changes, 1 is next; left alone: 1 is no song (.zip)`."""
    if waits["fault"] is not None:
        return f"can't be looked at: {waits['fault']}"
    if not waits["count"]:
        return "nothing waits to be taken"
    parts: tuple[list[str], list[str]] = ([], [])
    waiting = 0
    for reason in reasons.REASONS:
        if count := waits["reasons"].get(reason):
            parts[reason in _LEFT].append(f"{count} {_of(reason, count, waits, running=running)}")
            waiting += 0 if reason in _LEFT else count
    number = f"{waiting}{' or more' if waits['more'] else ''}"
    told = f"{number} {'waits' if number == '1' else 'wait'}: {', '.join(parts[0])}"
    left = f"; left alone: {', '.join(parts[1])}" if parts[1] else ""
    return f"{told if waiting else 'nothing waits to be taken'}{left}"


def _of(reason: str, count: int, waits: Document, *, running: bool) -> str:
    words = _WORDS[reason][count > 1]
    if reason == reasons.NEXT and not running:
        return "waits for the service" if count == 1 else "wait for the service"
    if reason == reasons.KIND:
        endings = [ending or "no ending" for ending in waits["endings"]]
        more = " ..." if len(endings) > _ENDINGS else ""
        return f"{words} ({' '.join(endings[:_ENDINGS])}{more})"
    if reason == reasons.HELD and count == 1:
        for one in waits["files"]:
            if one["reason"] == reason and "." in (one["detail"] or ""):
                return f"has .{one['detail'].rpartition('.')[2]} beside it"
    return words


def names(waits: Document, *, running: bool) -> Iterator[str]:
    """Yield one line for each file, with its reason."""
    for one in waits["files"]:
        only = {**waits, "files": [one], "endings": {_ending(one["relpath"]): 1}}
        told = _of(one["reason"], 1, only, running=running)
        detail = one["detail"] if one["reason"] != reasons.HELD else None
        since = f" since {one['since']}, at most a day" if one.get("since") else ""
        yield f"{one['relpath']}: {detail or told}{since}"
    if waits["count"] > len(waits["files"]):
        yield f"and {waits['count'] - len(waits['files'])} more"


def _ending(relpath: str) -> str:
    dot, end = relpath.rpartition("/")[2].rpartition(".")[1:]
    return f"{dot}{end}".lower() if dot else ""
