"""What the log says of pauses, whoever meets their fault."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from stemwatch.errors import PauseService, RetryLater
from stemwatch.job import JobState
from stemwatch.journal import pausing
from stemwatch.workers import orders
from stemwatch.workers.context import Context
from stemwatch.workers.pool.outcome import conclude
from tests.support.clocked import NOW, a_job, in_context
from tests.support.waiting import Clock


async def ordered(ctx: Context, until: float) -> None:
    """A person's `stemwatch pause --until`."""
    order = pausing.Order("ada", "command", NOW, until)
    await ctx.journal.note(pausing.FACT, pausing.written(order))
    await orders.look(ctx)


def test_each_pause_is_told_once_with_what_to_do(tmp_path: Path) -> None:
    """Polls, downloads, a submission, a folder, a person: all of them pass the gate."""

    async def work(ctx: Context, clock: Clock) -> None:
        polled, queued = await a_job(ctx, JobState.SEPARATING), await a_job(ctx)
        for number in range(6):
            await conclude(ctx, polled, RetryLater("503.", code="server_error", server_down=True))
            ctx.gate.storage_failed(number % 2, "504.")
        await conclude(ctx, queued, PauseService("No credit.", code="credit", hint="Buy some."))
        away = PauseService("/out is missing.", code="disk", hint="Mount it.")
        for _ in range(2):
            ctx.gate.pause(away, "dj")
        ctx.progress.changed.clear()
        await ordered(ctx, NOW + 7200.0)
        assert ctx.progress.changed.is_set()
        await ordered(ctx, NOW + 7200.0)
        await ordered(ctx, NOW + 9000.0)  # its words change
        ctx.gate.answered(clock.now)
        ctx.gate.storage_answered(clock.now)
        ctx.gate.accepted(clock.now)
        ctx.gate.reopen("disk", "dj")
        await ctx.journal.note(pausing.FACT, pausing.NONE)
        for _ in range(2):
            await orders.look(ctx)
        assert ctx.gate.pauses == []

    with capture_logs() as lines:
        in_context(tmp_path, work)
    begun = [line for line in lines if line["event"] == "service.paused"]
    assert [(line["reason"], line["log_level"], line.get("inbox")) for line in begun] == [
        ("server", "warning", None),
        ("storage", "warning", None),
        ("credit", "warning", None),
        ("disk", "warning", "dj"),
        ("on_hold", "info", None),
        ("on_hold", "info", None),
    ]
    assert all(line["message"] and line["hint"] for line in begun)
    over = [line for line in lines if line["event"] == "service.resumed"]
    assert [(line["reason"], line["log_level"], line.get("inbox")) for line in over] == [
        ("server", "info", None),
        ("storage", "info", None),
        ("credit", "info", None),
        ("disk", "info", "dj"),
        ("on_hold", "info", None),
    ]
