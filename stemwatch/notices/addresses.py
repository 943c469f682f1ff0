"""The addresses of notices, from the configuration and its file, with names that hold no secret."""

from __future__ import annotations

from stemwatch.config import Settings
from stemwatch.config.notify_keys import is_url
from stemwatch.errors import ConfigFault
from stemwatch.log import hide
from stemwatch.private_file import read_secret


def addresses(settings: Settings) -> dict[str, str]:
    """The URLs by a name that may be shown, such as `notify.urls[0] (ntfys)`.

    The log never shows the URLs. Raises ConfigFault for a `notify.urls_file` that can't be used.
    """
    found = {f"notify.urls[{n}] ({_kind(u)})": u for n, u in enumerate(settings.notify.urls)}
    path = settings.notify.urls_file
    if path is not None:
        faults = []
        for number, line in enumerate(read_secret(path, "notify.urls_file: ").splitlines(), 1):
            url = line.strip()
            if not url or url.startswith("#"):
                continue
            if is_url(url):
                found[f"notify.urls_file:{number} ({_kind(url)})"] = url
            else:
                faults.append(f"notify.urls_file: {path}:{number} is no URL.")
        if faults:
            raise ConfigFault(*faults, hint="One Apprise URL on each line; # begins a comment.")
    for url in found.values():
        rest = url.partition("://")[2]
        # A bare topic such as `music` would be hidden from every path as well.
        hide(url, *([rest] if any(mark in rest for mark in "/:@") else []))
    return found


def _kind(url: str) -> str:
    return url.partition("://")[0].lower()
