"""Every waiting time of the service in one value, so that tests can scale all of them down."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds."""

    retry_first: float = 2.0  # full jitter backoff of one job: 2, 4, 8 ... 60
    retry_max: float = 60.0
    rate_limited_first: float = 2.0  # 429 without Retry-After
    rate_limited_max: float = 60.0
    retry_after_max: float = 3600.0  # a server can't send the service to sleep for longer
    outage_first: float = 5.0  # probes while the server is down
    outage_max: float = 45.0  # never quicker than one in 30 s once backed off
    outage_min: float = 30.0
    account_first: float = 30.0  # probes while the key or the credit is refused
    account_max: float = 3600.0
    disk_recheck: float = 15.0  # a full disk, an absent inbox
    unfiled_max: float = 3600.0  # the same for one original that can't be moved, at last
    missing_gap: float = 200.0  # a job that the server no longer knows: three asks over 10 minutes
    unreadable_gap: float = 300.0  # a file that can't be opened
    poll_min: float = 0.5
    late_poll: float = 30.0  # beyond its deadline a job is asked for this often
    retention: float = 14 * 86400.0  # the remote keeps results this long
    hold_max: float = 45.0  # proxies close a body that stands still, commonly after 60 s
    job_guess: float = 40.0  # what a job takes, before the first one has ended
    lookahead: float = 20.0  # an upload ahead may wait this long for the slot that it expects
    ahead_again: float = 3600.0  # what a server did to an upload ahead is believed for so long
    line: float = 2.0  # the next upload starts when those under way have this much left to send
    minute: float = 60.0  # in which api.requests_per_minute are counted
    confirm_first: float = 5.0  # an unanswered submission is looked for in the list of jobs ...
    confirm_again: float = 60.0  # ... and once more, before it is taken for one that never arrived
    creep: float = 60.0  # a lowered concurrency rises by one after this long without a 429
    helper_idle: float = 30.0
    download_stall: float = 600.0  # total allowance of one stem ...
    download_megabyte: float = 20.0  # ... plus this for each MB that it may have
    credit_every: float = 600.0  # what is left is asked for that often, while songs are paid for
    credit_again: float = 60.0  # ... and after an answer that was none
    status_every: float = 1.0  # while something goes on ...
    status_idle: float = 60.0  # ... and while nothing does, for what tells nobody that it changed
    restart: float = 10.0  # a service that is restarted is back within
    answer: float = 300.0  # of an upload: giving up costs a person's attention
    poll_answer: float = 30.0
    disk_answer: float = 10.0  # of a mount, or it hangs; a disk that has to spin up takes as long

    hook: float = 60.0  # of a hook, with all that it started
    hook_end: float = 3.0  # ... when the service stops
    notice: float = 60.0  # for a message to be taken, by all its addresses
    notice_end: float = 8.0  # ... when the service stops: beside the drain, below TimeoutStopSec
    notice_again: float = 3600.0  # the same pause is not told more often

    def scaled(self, factor: float) -> Timing:
        """All of it `factor` times as long, but for the patience with what is never quicker:
        servers, disks and the start of a helper.
        """
        patience = {"answer", "poll_answer", "disk_answer", "notice", "notice_end", "helper_idle"}
        names = {f.name for f in fields(self)} - patience
        return replace(self, **{name: getattr(self, name) * factor for name in names})
