"""The exceptions of stemwatch, grouped by what to do next.

    StemwatchError
    ├── ConfigFault      configuration, folder or key is wrong: exit 78, nothing is touched
    ├── AlreadyRunning   another instance holds this state directory: exit 75
    ├── JournalFault     the journal can't be read or written: stop, and say how to mend it
    ├── Reject           this one file needs a person: quarantine it with the reason
    │   └── Unconfirmed  ... and it may be charged: the API is asked for it, or a person
    ├── RetryLater       this one job is tried again, a little later
    ├── PauseService     nothing more is submitted until this is mended; the inbox is untouched
    └── TakenBack        the file is gone or was replaced: this job ends, and nothing has failed

Each one has a `hint`: the command, key or file that mends it. Raise them where the fault is known,
catch them in one place (`workers`), and log each outcome once.
"""

from __future__ import annotations

from stemwatch.codes import Code, Rule, rule_of


class StemwatchError(Exception):
    """Base of every fault that stemwatch knows how to report.

    `code` is a stable word for logs, reason files and tests: a `Code`, whose rule says what
    follows, or a word of another party's engine. `message` says in one sentence what happened and
    where; `hint` says what to do.
    """

    code: str = Code.FAILED

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    @property
    def rule(self) -> Rule:
        return rule_of(self.code)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigFault(StemwatchError):
    """One or more faults in the configuration; `faults` lists all of them, one sentence each."""

    code = Code.CONFIGURATION

    def __init__(self, *faults: str, hint: str = "") -> None:
        self.faults = faults
        super().__init__("\n".join(faults), hint=hint)


class AlreadyRunning(StemwatchError):
    """Another process holds the lock of this state directory."""

    code = Code.ALREADY_RUNNING


class JournalFault(StemwatchError):
    """The journal is corrupt, newer than this program, or can't be written."""

    code = Code.JOURNAL


class Reject(StemwatchError):
    """This file can't be done without a person; it goes to quarantine with this reason.

    `attempts`: the tries that are given up; None: one more than the job has counted.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str = "",
        http_status: int | None = None,
        request_id: str | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.http_status = http_status
        self.request_id = request_id
        self.attempts = attempts


class Unconfirmed(Reject):
    """The whole request was sent and no readable answer came: it may have been charged."""

    def __init__(
        self, message: str, *, http_status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(
            message,
            code=Code.SUBMISSION_UNCONFIRMED,
            hint="Look in your StemSplit dashboard whether this job ran; "
            "`stemwatch retry` submits it again (and may be charged again).",
            http_status=http_status,
            request_id=request_id,
        )


class RetryLater(StemwatchError):
    """This job can be tried again after `after` seconds (None: the backoff decides).

    `counts` is False where the fault says nothing about this job (a 429, a busy disk), so that
    waiting never uses up its attempts. `server_down` marks faults of the server as a whole;
    several in a row begin a pause.
    """

    code = Code.RETRY

    def __init__(
        self,
        message: str,
        *,
        code: str = Code.RETRY,
        hint: str = "",
        after: float | None = None,
        counts: bool = True,
        server_down: bool = False,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.after = after
        self.counts = counts
        self.server_down = server_down
        self.http_status = http_status
        self.request_id = request_id


class PauseService(StemwatchError):
    """A pause begins, which stops submissions; its name is `code` (`auth`, `credit`, `disk`, ...).

    `after` is the number of seconds before the next try, None where the backoff decides.
    `http_status` is set if the fault is a server's answer.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str = "",
        after: float | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.after = after
        self.http_status = http_status
        self.request_id = request_id


class TakenBack(StemwatchError):
    """The file is gone, or another one has its name: nothing was submitted."""

    code = Code.GONE
