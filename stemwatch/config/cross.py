"""Checks between keys: folders in each other, mixes of unknown stems, a URL without listener."""

from __future__ import annotations

from collections.abc import Iterator

from stemwatch.config.groups.presets import alike
from stemwatch.config.paths import real
from stemwatch.config.settings import Separation, Settings, Web
from stemwatch.job import STEMS

Found = tuple[tuple[tuple[str, ...], ...], str]  # the keys that are concerned, the sentence


def cross_faults(settings: Settings, patience: float) -> Iterator[Found]:
    """Each fault with the keys it depends on; the first of them is the one to name.

    `patience`: seconds for the folders' disks to answer.
    """
    yield from _overlaps(settings, patience)
    for at, separation in _separations(settings):
        yield from _mixes(at, separation)
        yield from _stem_file(at, separation)
    for inbox in settings.every_inbox:
        for name, first in alike(inbox.presets):
            keys = ((*inbox.at, "presets", name), (*inbox.at, "presets", first))
            yield keys, f"means the same folder as the preset {first!r}; take one of them out"
    yield from _listener(settings.web)


def _separations(settings: Settings) -> Iterator[tuple[tuple[str, ...], Separation]]:
    """The separation of the top level, of its presets, and of every inbox, with their keys."""
    yield ("separation",), settings.separation
    for name, preset in settings.presets.items():
        yield ("presets", name), preset
    for inbox in settings.every_inbox if settings.inboxes else ():
        yield (*inbox.at, "separation"), inbox.separation
        for name, preset in inbox.presets.items():
            yield (*inbox.at, "presets", name), preset


def _listener(web: Web) -> Iterator[Found]:
    listen = ("web", "listen")
    if web.address is None:
        for name in ("public_url", "page"):
            if getattr(web, name):
                yield (("web", name), listen), "needs web.listen: nothing would answer there"
        return
    if web.page and web.password_file is None and (key := web.opened_by) is not None:
        yield (
            (("web", "page"), ("web", "password_file"), ("web", key)),
            f"others reach it, as web.{key} says, and could hear, add and spend: name a file with "
            "a password in web.password_file (chmod 600), or write out `password_file: none`",
        )


def _overlaps(settings: Settings, patience: float) -> Iterator[Found]:
    """A folder inside the inbox would be watched; one inside another mixes results and originals.

    Symbolic links are followed: two names of one folder are one folder. A folder whose disk hangs
    is compared by its name, since nobody else's commands and start may wait for it.
    """
    names = ("inbox", "outbox", "quarantine", "archive")
    given: dict[tuple[str, ...], str] = {
        (*inbox.at, "folders", name): getattr(inbox.folders, name)
        for inbox in settings.every_inbox
        for name in names
    }
    followed = real([*given.values(), settings.state_dir], patience)
    for inner, inner_name in (*given.items(), (("state_dir",), settings.state_dir)):
        for outer, outer_name in given.items():
            path, above = inner_name, outer_name
            if path in followed and above in followed:
                path, above = followed[path], followed[above]
            # Two folders that are the same are reported once.
            same = path == above and inner > outer
            if same or (path != above and path.startswith(above.rstrip("/") + "/")):
                how = "is the same folder as" if same else "is inside"
                name = ".".join(outer)
                yield (inner, outer), f"{path} {how} {name} ({above}); give it a folder of its own"


def _mixes(at: tuple[str, ...], separation: Separation) -> Iterator[Found]:
    stems = STEMS[separation.stems]
    needs = (*at, "stems")
    seen: set[str] = set()
    for name, parts in separation.mixes.items():
        keys = ((*at, "mixes", name), needs)
        unknown = [part for part in parts if part not in stems]
        given = f"{separation.stems} stems give {', '.join(stems)}"
        if name.casefold() in stems:
            yield keys, f"is the name of a stem; {given}; choose another name"
        if name.casefold() in seen:
            yield keys, "is the name of another mix in other capitals; choose another name"
        seen.add(name.casefold())
        if unknown:
            yield keys, f"there is no stem {', '.join(map(repr, unknown))}; {given}"
        elif len(set(parts)) != len(parts) or len(parts) < 2:
            yield keys, "must list at least two different stems"


def _stem_file(at: tuple[str, ...], separation: Separation) -> Iterator[Found]:
    if separation.stem_file is not None and separation.stems == 2:
        keys = (*at, "stem_file"), (*at, "stems")
        yield (
            keys,
            "a stem file (separation.stem_file) holds drums, bass, other and vocals, and 2 stems "
            f"(separation.stems) don't give them; set {'.'.join(keys[1])} to 4 or 6, or this to "
            "null",
        )
