"""`/metrics`: the service as Prometheus reads it. No label ever holds a name, a path or an id.

Counters of jobs and the seconds of `separating` and `download` are the journal's, over all its
time; those of bytes, requests and uploads are the process's and begin anew with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from stemwatch import __version__
from stemwatch.codes import PAUSES
from stemwatch.errors import StemwatchError
from stemwatch.job import JobState
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.web.health import Health
from stemwatch.web.ledger import Ledger
from stemwatch.workers.pacing.budget import start_of_day, start_of_month

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the journal says at one moment. `spent`: period -> (minutes, money)."""

    jobs: dict[str, int]
    oldest_queued: float | None
    spent: dict[str, tuple[float, float]]


class Metrics:
    """Everything is read when it is asked for; nothing is kept but the ledger's sums."""

    def __init__(self, health: Health, journal: ReadOnlyJournal, calls: dict[int, int]) -> None:
        self._health = health
        self._journal = journal
        self._ledger = Ledger()
        self._calls = calls  # webhook calls by the status that answered them
        self._started = time.time()

    async def text(self) -> bytes:
        """The whole page. Where the journal can't be read, it says so and has the rest."""
        try:
            remembered = await self._remembered()
        except StemwatchError:
            remembered = None
        registry = CollectorRegistry()
        registry.register(_Page([*self._service(), *self._journaled(remembered)]))
        return generate_latest(registry)

    async def _remembered(self) -> Remembered:
        journal, now = self._journal, self._health.context.now()
        await self._ledger.catch_up(journal)
        ended = {state: self._ledger.entered[state] for state in (JobState.DONE, JobState.GONE)}
        active = await journal.active()
        periods = {"today": start_of_day(now), "month": start_of_month(now), "total": 0.0}
        return Remembered(
            jobs={str(state): active.get(state, ended.get(state, 0)) for state in JobState},
            oldest_queued=await journal.oldest_queued(),
            spent={name: await journal.spent(since) for name, since in periods.items()},
        )

    def _service(self) -> Iterator[Metric]:
        """What the process knows by itself."""
        health, context = self._health, self._health.context
        counters, slots = context.counters, context.slots
        yield InfoMetricFamily("stemwatch_build", "This stemwatch.", {"version": __version__})
        yield _gauge("start_time_seconds", "When the service was started.", self._started)
        ready = not health.reasons()
        yield _gauge("ready", "1 while it does its work, as /readyz says.", ready)
        pauses = {pause.code for pause in context.gate.pauses}
        yield _gauges(
            "paused",
            "1 while this holds work back.",
            "reason",
            {code: code in pauses for code in sorted({*PAUSES, *pauses})},
        )
        yield _gauge("slots_held", "Jobs at the API now.", slots.held)
        yield _gauge("slots_limit", "Jobs that are sent there at once.", slots.limit)
        yield _gauge(
            "unreadable_files",
            "Files and folders that can't be read.",
            len(health.rounds.unreadable),
        )
        yield _counter("scans", "Whole rounds through the inbox.", health.rounds.completed)
        yield _counter("requests", "Calls to the API.", context.requests.taken)
        yield _counter("rate_limited", "Calls that were answered with 429.", counters.rate_limited)
        yield _counter("sent_bytes", "Bytes of songs sent.", counters.sent.total)
        yield _counter("received_bytes", "Bytes of stems received.", counters.received.total)
        calls = CounterMetricFamily(
            "stemwatch_webhook_calls", "Webhook calls, by answer.", labels=["status"]
        )
        for status, count in sorted(self._calls.items()):
            calls.add_metric([str(status)], count)
        yield calls

    def _journaled(self, remembered: Remembered | None) -> Iterator[Metric]:
        """What the journal knows; its counters are right over a restart."""
        yield _gauge("journal_readable", "1 if what follows could be read.", remembered is not None)
        if remembered is None:
            return
        yield _gauges("jobs", "Songs in each state.", "state", remembered.jobs)
        entered = CounterMetricFamily(
            "stemwatch_transitions", "How often a song came into a state.", labels=["state"]
        )
        for state in JobState:
            entered.add_metric([state], self._ledger.entered[state])
        yield entered
        yield self._stages()
        oldest = remembered.oldest_queued
        age = 0.0 if oldest is None else max(0.0, self._health.context.now() - oldest)
        yield _gauge("queue_age_seconds", "Since the oldest queued song was taken in.", age)
        minutes = {period: spent[0] for period, spent in remembered.spent.items()}
        money = {period: spent[1] for period, spent in remembered.spent.items()}
        yield _gauges("spent_minutes", "Audio that may have been charged.", "period", minutes)
        yield _gauges("spent_money", "The same at budget.price_per_minute.", "period", money)

    def _stages(self) -> HistogramMetricFamily:
        stages = HistogramMetricFamily(
            "stemwatch_stage_seconds", "How long a song's stages took.", labels=["stage"]
        )
        durations = {"upload": self._health.context.counters.upload, **self._ledger.seconds}
        for stage, seconds in durations.items():
            stages.add_metric([stage], seconds.buckets, seconds.sum)
        return stages


class _Page(Collector):
    """One scrape's answer, in the form that the library prints."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"stemwatch_{name}", text, float(value))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"stemwatch_{name}", text, value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"stemwatch_{name}", text, labels=[label])
    for value in values:
        family.add_metric([value], float(values[value]))
    return family
