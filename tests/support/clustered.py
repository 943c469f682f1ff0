"""A `Server` for tests that is a cluster where $STEMWATCH_TEST_CLUSTER says so.

With `STEMWATCH_TEST_CLUSTER=1`, both wires answer the same from two front ends behind a proxy, with
two workers, as from one process; and the acceptance tests' scripted server is such a cluster, too
(scenario_cluster.py).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import Cluster, at_once
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.support.waiting import NO_TLS, wait_for

VARIABLE = "STEMWATCH_TEST_CLUSTER"


# What a test looks at is of one process: how it is laid out on the disk, or told of.
one_process = pytest.mark.skipif(VARIABLE in os.environ, reason=f"${VARIABLE}: a cluster differs")
# ... or of the scripted server: its tempo, the sound of its stems, its log amid the test.
scripted = pytest.mark.skipif(
    VARIABLE in os.environ, reason=f"${VARIABLE}: a scripted server differs"
)


def server_or_cluster(
    data_dir: Path, *options: str, engine: str = "copy", key: str | None = None
) -> Server:
    """What a module's tests share; options are those that `stemwatch serve` has."""
    if os.environ.get(VARIABLE):
        return Clustered(data_dir, options, engine, key)
    return Server(data_dir, *options, engine=engine, key=key)


class Clustered(Server):
    """Two front ends behind a proxy, and two workers of one seat each."""

    def __init__(
        self, data_dir: Path, options: tuple[str, ...], engine: str, key: str | None
    ) -> None:
        given = list(options)
        if "--jobs" in given:  # a worker's
            at = given.index("--jobs")
            del given[at : at + 2]
        if key is not None:
            file = data_dir.parent / "key"
            file.touch(0o600)
            file.write_text(key)
            given += ["--key-file", str(file)]
        self.data_dir = data_dir
        self._open = ExitStack()
        try:
            self._start(data_dir.parent, given, engine, key)
        except BaseException:
            self._open.close()
            raise

    def _start(self, room: Path, given: list[str], engine: str, key: str | None) -> None:
        postgres = self._open.enter_context(Postgres())
        cluster = self._open.enter_context(Cluster(room, postgres))
        self.room, self.url = cluster.steering, cluster.url
        front = partial(cluster.front, *given, key=key)
        worker = partial(cluster.worker, engine=engine)
        *fronts, _, _ = at_once(front, front, worker, worker)
        proxy = self._open.enter_context(Proxy([front.port for front in fronts]))
        self.port = proxy.port
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.http = self._open.enter_context(
            httpx.Client(
                base_url=self.base_url, headers=fronts[0].headers, timeout=30, verify=NO_TLS
            )
        )
        for front in fronts:  # each knows what is made here
            wait_for(lambda one=front: one.http.get("/health").json()["seats"] == 2, what="workers")

    def receiving(self) -> list[Path]:
        return [one for front in (self.data_dir / "incoming").iterdir() for one in front.iterdir()]

    def __exit__(self, *_: object) -> None:
        self._open.close()
