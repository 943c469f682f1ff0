"""The order of `stemwatch pause`, as the journal keeps it: who gave it, and until when. Pure."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

FACT = "pause"  # its name among the journal's facts
NONE = ""  # the fact's value after `resume`


@dataclass(frozen=True, slots=True)
class Order:
    """`by` is a person's account, `via` "command" or "page"; times are Unix seconds.

    `until` None: until `stemwatch resume`.
    """

    by: str
    via: str
    since: float
    until: float | None = None

    def words(self, now: float) -> str:
        """One sentence for the log, `status` and the page."""
        who = f" by {self.by}" if self.by else ""
        where = " on the page" if self.via == "page" else ""
        end = "" if self.until is None else f" until {clock_time(self.until, now)}"
        return f"paused{who}{where}{end}: nothing new is submitted; what is paid for goes on."


HINT = "`stemwatch resume` ends it."


def written(order: Order) -> str:
    """The fact's value."""
    return json.dumps(asdict(order))


def in_force(fact: str | None, now: float) -> Order | None:
    """The order that `fact` holds, if its time is not over at `now`."""
    if not fact:
        return None
    order = Order(**json.loads(fact))
    return None if order.until is not None and order.until <= now else order


def clock_time(moment: float, now: float) -> str:
    """`moment` in local time: 22:00, or with its date where that is not the day of `now`."""
    there, here = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M", there)
