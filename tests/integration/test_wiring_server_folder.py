"""The folders of local servers: apart while they work, and nothing is lost of one that ended."""

from __future__ import annotations

from pathlib import Path

from stemwatch.wiring.server_folder import server_folder


def test_each_split_has_its_own(tmp_path: Path) -> None:
    """Apart from the service's; free again at its end."""
    state = str(tmp_path)
    with (
        server_folder(state, None) as service,
        server_folder(state, "split-1") as first,
        server_folder(state, "split-2") as second,
    ):
        names = [Path(one).name for one in (service, first, second)]
    assert names == ["local", "local-split", "local-split-2"]
    with server_folder(state, "split-3") as again:
        assert again == first


def test_the_next_split_has_the_jobs_of_all_that_ended(tmp_path: Path) -> None:
    """It would ask its server in vain for what a second one was interrupted in.

    What another one works with stays where it is.
    """
    state = str(tmp_path)
    with server_folder(state, "a") as first:
        with server_folder(state, "b") as second, server_folder(state, "c") as third:
            for at, folder in enumerate((first, second, third)):
                Path(folder, "jobs", f"job_{at}").mkdir(parents=True)
        with server_folder(state, "b again") as again:
            assert again == second
            assert sorted(one.name for one in Path(again, "jobs").iterdir()) == ["job_1", "job_2"]
            assert [one.name for one in Path(first, "jobs").iterdir()] == ["job_0"]
        Path(state, "local-split-7").mkdir()  # its server never started
    with server_folder(state, "d") as last:
        assert last == first
        kept = sorted(one.name for one in Path(last, "jobs").iterdir())
    assert kept == ["job_0", "job_1", "job_2"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["local-split", "owners"]
