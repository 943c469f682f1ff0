"""A few of the sweep's points: `python -m tests.faults.kill_sweep --points 400` is all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.harness import KEY
from tests.faults.forked import Forks
from tests.faults.kill_sweep import Case, points, profile, sweep
from tests.faults.looking import Observer
from tests.support.scenario.server import ScenarioServer
from tests.support.struck import needs_strace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The calls of a run without a fault: looked at once for both signals."""
    with Forks(KEY) as forks:
        return profile(forks, tmp_path_factory.mktemp("profile"))


@needs_strace
@pytest.mark.parametrize(("signal", "size"), [("KILL", 4), ("TERM", 2)])
def test_a_signal_at_any_call_breaks_no_promise(
    tmp_path: Path, made: dict[str, int], signal: str, size: int
) -> None:
    """Nothing is lost, half seen, paid twice or left over, whatever call the signal comes at."""
    figures = sweep(tmp_path, size, signal, made=made)
    assert figures.broken == []
    assert figures.runs == size
    assert figures.hit
    # Four songs each; those of one content that is in doubt are held back.
    assert figures.delivered >= 4 * size - 2 * figures.unconfirmed


def test_the_observer_sees_what_is_not_whole(tmp_path: Path) -> None:
    """Loose files, folders without a sidecar, stems that differ from it, and files beyond it."""
    with ScenarioServer(key=KEY, job_seconds=0.05) as server, Forks(KEY) as forks:
        case = Case(tmp_path, server)
        assert case.run(forks) == 3
    outbox = case.home.outbox
    observer = Observer(outbox, mirrors={"six"})
    observer.look()
    assert observer.partial == set()
    assert observer.delivered == 4
    (outbox / "loose.wav").write_bytes(b"")
    (outbox / "empty").mkdir()
    (outbox / "another" / "more.wav").write_bytes(b"")
    (outbox / "a song" / "a song (Vocals).wav").unlink()  # linked: its content is another's too
    (outbox / "a song" / "a song (Vocals).wav").write_bytes(b"cut")
    observer.look(again=True)
    assert {seen.split(":")[0] for seen in observer.partial} == {
        "loose.wav",
        "empty",
        "another",
        "a song",
    }


def test_points_are_even_and_rare_calls_whole() -> None:
    """A frequent call takes no more of the sweep than others; a rare one is swept to its end."""
    plan = points({"fsync": 3, "read": 1000, "rename": 40}, 100)
    assert len(set(plan)) == 100
    assert {point.n for point in plan if point.call == "fsync"} == {1, 2, 3}
    assert sum(point.call == "rename" for point in plan) == 40
    assert all(1 <= point.n <= 1000 for point in plan)
