"""Whose job is next: the API keys take turns, and each key's jobs are first come, first served.

Start-time fair queueing: a job's turn is one after its key's last one, and not before what is
being served now. So ten jobs of one key don't wait behind another key's thousand, and no job is
overtaken without end, which a count of each key's unfinished jobs would allow.
"""

from __future__ import annotations


def turn(last: int, serving: int) -> int:
    """The turn of a key's new job. `last`: the key's last turn; `serving`: that of who is next."""
    return max(last, serving - 1) + 1
