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
    retry_after_max: float = 3600.0  # the longest Retry-After that is obeyed
    outage_first: float = 5.0  # between probes while the server is down: 5, 10 ... 45
    outage_max: float = 45.0
    outage_min: float = 30.0  # from the fourth probe on, at least this long
    account_first: float = 30.0  # between probes while the key or the credit is refused
    account_max: float = 3600.0
    disk_recheck: float = 15.0  # between two looks at a full disk or an absent inbox
    unfiled_max: float = 3600.0  # the longest wait of an original that can't be moved
    missing_gap: float = 200.0  # a job that the server doesn't know is asked for 3 times in 10 min
    unreadable_gap: float = 300.0  # between two tries to open an unreadable file
    poll_min: float = 0.5
    late_poll: float = 30.0  # between polls of a job that is past its deadline
    retention: float = 14 * 86400.0  # the remote keeps results this long
    hold_max: float = 45.0  # proxies close a body that stands still, commonly after 60 s
    job_guess: float = 40.0  # a job is assumed to take this long before the first one has ended
    lookahead: float = 20.0  # an upload ahead may wait this long for the slot that it expects
    ahead_again: float = 3600.0  # after a server refused uploads ahead, they are tried again
    line: float = 2.0  # the next upload starts when those under way have this much left to send
    minute: float = 60.0  # in which api.requests_per_minute are counted
    confirm_first: float = 5.0  # until an unanswered submission is looked for in the list of jobs
    confirm_again: float = 60.0  # until the second look, which decides that it never arrived
    creep: float = 60.0  # a lowered concurrency rises by one after this long without a 429
    helper_idle: float = 30.0
    download_stall: float = 600.0  # the time limit of one stem's download ...
    download_megabyte: float = 20.0  # ... plus this for each MB that the stem may have
    credit_every: float = 600.0  # between questions for the credit while songs are paid for
    credit_again: float = 60.0  # the same after a question that got no answer
    status_every: float = 1.0  # between writes of status.json while something changes
    status_idle: float = 60.0  # the same while nothing does, for changes that ring no bell
    restart: float = 10.0  # a service that is restarted is back within this time
    tidy: float = 600.0  # between looks for entries and originals that may go
    answer: float = 300.0  # for the answer to an upload: without it, a person has to decide
    poll_answer: float = 30.0  # for the answer to a poll
    disk_answer: float = 10.0  # for a disk to answer, or it hangs; one may have to spin up first
    disk_slow: float = 10.0  # a step that stands still so long has its disks asked

    hook: float = 60.0  # for a hook and all processes that it started
    hook_end: float = 3.0  # the same when the service stops
    notice: float = 60.0  # for all addresses to accept a message
    notice_end: float = 8.0  # the same when the service stops; beside the drain, in TimeoutStopSec
    notice_again: float = 3600.0  # between two messages about the same pause

    def scaled(self, factor: float) -> Timing:
        """All times multiplied by `factor`, except the waits for servers, disks and helpers.

        Those don't become faster in a test.
        """
        patience = {"answer", "poll_answer", "notice", "notice_end", "helper_idle"}
        patience |= {"disk_answer", "disk_slow"}
        names = {f.name for f in fields(self)} - patience
        return replace(self, **{name: getattr(self, name) * factor for name in names})
