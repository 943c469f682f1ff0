"""The acceptance tests' server as a real cluster, for `STEMWATCH_TEST_CLUSTER=1`.

Two front ends behind a proxy and two workers are shared by all tests of a process, its database
emptied before each. What only the scripted server can do for a test (faults on demand, a log of the
requests, content hashes) skips it, and says so.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import psycopg
import pytest

from tests.support.clustered import Clustered

KEY = "sk-acceptance-0123456789abcdef"
_MARK = re.compile(r" \[sw-[0-9a-f]+\]")  # by which our client finds its upload again on wire B
ROUTE = {"separate": "post", "presigned": "put"}
# Not truncated: that would lock all tables at once, amid the workers' own transactions.
_EMPTY = (
    "delete from procrastinate_jobs",
    "delete from stemwatch_song",
    "delete from stemwatch_owner",
    "delete from stemwatch_webhook",
)


class ClusterServer:
    """What tests use of a `ScenarioServer`, as far as a real one has it."""

    def __init__(
        self,
        *,
        wire: str = "separate",
        key: str | None = None,
        job_seconds: float = 0.05,
        **settings: Any,
    ) -> None:
        if settings or key not in (None, KEY):
            _scripted(", ".join(settings) or "another key")
        self.wire = wire
        self.upload_route = ROUTE[wire]
        self._seconds = job_seconds

    @property
    def url(self) -> str:
        return self.origin + ("/api/v1" if self.wire == "presigned" else "/v1")

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{_cluster().port}"

    @property
    def paid(self) -> dict[str, Any]:
        with psycopg.connect(_cluster().url, autocommit=True) as connection:
            query = "select record from stemwatch_song order by created_at"
            records = [json.loads(row[0]) for row in connection.execute(query).fetchall()]
        jobs = [
            _Known(
                id=one["id"],
                filename=_MARK.sub("", one["name"]),
                idempotency_key=one["idempotency_key"],
                accepted=one["created_at"],
                stems=str(one["stems"]),
                format=one["format"],
            )
            for one in records
        ]
        return _Known(total=len(jobs), jobs=jobs)

    def __enter__(self) -> ClusterServer:
        running = _cluster()
        with psycopg.connect(running.url, autocommit=True) as connection:
            for statement in _EMPTY:
                connection.execute(statement)
        (running.room / "seconds").write_text(str(self._seconds))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """It runs on for the next test."""

    def start(self) -> ClusterServer:
        return self.__enter__()

    def stop(self) -> None:
        pass

    def __getattr__(self, name: str) -> NoReturn:
        _scripted(name)


class _Known(dict[str, Any]):
    def __missing__(self, name: str) -> NoReturn:
        _scripted(name)


def _scripted(what: str) -> NoReturn:
    pytest.skip(f"only the scripted server has {what}")


@functools.cache
def _cluster() -> Clustered:
    room = _ROOM.enter_context(tempfile.TemporaryDirectory(prefix="stemwatch-cluster-"))
    return _ROOM.enter_context(Clustered(Path(room, "data"), (), "timed", KEY))


_ROOM = contextlib.ExitStack()


def end() -> None:
    """End the shared cluster, after the last test."""
    _ROOM.close()
