"""The service in front of a cluster: two front ends behind a proxy, two workers; some die."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, LOOKED_FOR_SOON, Home
from tests.acceptance.songs import drop
from tests.support.cluster import SHORT, Cluster, at_once, kill
from tests.support.postgres import Postgres, needs_postgres
from tests.support.proxy import Proxy
from tests.support.waiting import wait_for

SONGS = 8
IN_FLIGHT = 3  # `api.max_concurrent`
pytestmark = [needs_postgres, pytest.mark.xdist_group("cluster")]  # they share a database server


@pytest.mark.timeout(400)
def test_every_song_is_delivered_though_parts_of_the_cluster_die(
    tmp_path: Path, wire: str, postgres: Postgres
) -> None:
    """Nothing about the service is changed but its address; each song is paid for once.

    On wire A a submission whose answer dies with its front end is left for its owner to confirm.
    """
    cluster_room, home_room = tmp_path / "cluster", tmp_path / "home"
    cluster_room.mkdir()
    keys = tmp_path / "keys"
    keys.write_text(f"home {sha256(KEY.encode()).hexdigest()}\n")
    with Cluster(cluster_room, postgres) as cluster:
        (cluster.steering / "seconds").write_text("0.5")
        front = partial(cluster.front, "--keys-file", str(keys))
        worker = partial(cluster.worker, engine="timed", **SHORT)
        *fronts, doomed, _ = at_once(front, front, worker, worker)
        with Proxy([front.port for front in fronts]) as proxy:
            path = "/api/v1" if wire == "presigned" else "/v1"
            home = Home(home_room, f"http://127.0.0.1:{proxy.port}{path}")
            with home.scaled_service(1, *LOOKED_FOR_SOON) as service:
                for number in range(SONGS):
                    drop(home.inbox / f"{number}.wav", number)
                service.wait_for_event("job.done")
                fronts[0].kill()
                kill(doomed)
                worker()
                done = service.events
                wait_for(
                    lambda: len(done("job.done")) + len(home.reasons()) == SONGS, timeout=110.0
                )
            names = [one["source"]["name"] for one in home.sidecars().values()]
            unconfirmed = home.reasons()
            assert sorted([*names, *unconfirmed]) == [f"{number}.wav" for number in range(SONGS)]
            assert {one["code"] for one in unconfirmed.values()} <= {"submission_unconfirmed"}
            assert len(unconfirmed) <= (IN_FLIGHT if wire == "separate" else 0)
            assert all(proxy.served.values())
        taken = cluster.ask("select count(*) from stemwatch_song")
        assert len(names) <= taken <= SONGS
        assert cluster.ask("select spent from stemwatch_owner where name = 'home'") == taken * 5
