"""Hints from real inotify, and what happens when it fails."""

import asyncio
import contextlib
import gc
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyEvent, Mask

from stemwatch.inbox.names import Filter
from stemwatch.inbox.watcher import CANARY, MAX_HINTS, Hints, Watcher
from tests.support.waiting import wait_for_async


class Inbox:
    """A watched folder and all hints that came from it."""

    def __init__(self, root: Path, **options: float) -> None:
        self.root = root
        self.wakes = 0
        self.files: set[str] = set()
        self.trees: set[str] = set()
        self.everything = False
        self.watcher = Watcher(
            str(root),
            mode="inotify",
            loop=asyncio.get_running_loop(),
            wake=self._woken,
            **options,  # type: ignore[arg-type]
        )

    def _woken(self) -> None:
        self.wakes += 1
        self.collect()

    def collect(self) -> Hints:
        hints = self.watcher.take_hints()
        self.files |= {os.path.relpath(path, self.root) for path in hints.files}
        self.trees |= {os.path.relpath(path, self.root) for path in hints.trees}
        self.everything = self.everything or hints.everything
        return hints

    async def hears(self, *relpaths: str) -> None:
        """Wait until each path is hinted at, by itself or by a folder above it."""

        def missing() -> list[str]:
            return [
                relpath
                for relpath in relpaths
                if relpath not in self.files
                and not any(
                    relpath == tree or relpath.startswith(f"{tree}/") for tree in self.trees
                )
            ]

        await wait_for_async(lambda: not missing(), what=f"hints at {relpaths}")


def watching(root: Path, story: Callable[[Inbox], Awaitable[None]], **options: float) -> None:
    async def run() -> None:
        inbox = Inbox(root, **options)
        await inbox.watcher.start()
        try:
            await story(inbox)
        finally:
            await inbox.watcher.stop()

    root.mkdir(exist_ok=True)
    asyncio.run(run())


def test_files_that_come_in_any_way_are_hinted_at(tmp_path: Path) -> None:
    """Created, written again, moved in, renamed, hard-linked; odd names too."""

    async def story(inbox: Inbox) -> None:
        root = inbox.root
        (tmp_path / "outside.mp3").write_bytes(b"x")
        (root / "created.mp3").write_bytes(b"x")
        await inbox.hears("created.mp3")
        inbox.files.clear()
        with (root / "created.mp3").open("ab") as file:
            file.write(b"more")
        await inbox.hears("created.mp3")
        os.link(tmp_path / "outside.mp3", root / "linked.mp3")
        (tmp_path / "outside.mp3").rename(root / "moved.mp3")
        (root / "half.mp3.part").write_bytes(b"x")
        (root / "half.mp3.part").rename(root / "half.mp3")
        odd = os.fsdecode(b"\xff\n.mp3")
        (root / odd).write_bytes(b"x")
        await inbox.hears("linked.mp3", "moved.mp3", "half.mp3", odd)

    watching(tmp_path / "inbox", story)


def test_a_file_that_leaves_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """watchdog waits for where it went, and the next drop's event is stuck behind it.

    Each song that is archived leaves like that.
    """
    monkeypatch.setattr("stemwatch.inbox.observer.InotifyMoveEventGrouper.delay", 600.0)

    async def story(inbox: Inbox) -> None:
        for name in ("first.mp3", "second.mp3"):
            (inbox.root / name).write_bytes(b"x")
            await inbox.hears(name)
            (inbox.root / name).rename(tmp_path / name)

    watching(tmp_path / "inbox", story)


def test_folders_that_come_are_hinted_at_with_all_below(tmp_path: Path) -> None:
    """A nested tree made here, a folder moved in, one renamed; and new files in each of them."""

    async def story(inbox: Inbox) -> None:
        root = inbox.root
        (root / "a/b/c").mkdir(parents=True)
        (root / "a/b/c/1.mp3").write_bytes(b"x")
        (tmp_path / "album/cd1").mkdir(parents=True)
        (tmp_path / "album/cd1/2.mp3").write_bytes(b"x")
        (tmp_path / "album").rename(root / "album")
        await inbox.hears("a/b/c/1.mp3", "album/cd1/2.mp3")
        inbox.files.clear()
        inbox.trees.clear()
        (root / "album/cd1/3.mp3").write_bytes(b"x")
        await inbox.hears("album/cd1/3.mp3")
        (root / "album").rename(root / "renamed")
        await inbox.hears("renamed/cd1/3.mp3")
        (root / "renamed/cd1/4.mp3").write_bytes(b"x")
        await inbox.hears("renamed/cd1/4.mp3")

    watching(tmp_path / "inbox", story)


def watches(inbox: Inbox) -> int:
    """How many folders the kernel watches for it."""
    observer = inbox.watcher._observer
    assert observer is not None
    told = Path(f"/proc/self/fdinfo/{observer._reader._inotify_fd}").read_text()
    return sum(line.startswith("inotify ") for line in told.splitlines())


def test_folders_that_leave_are_watched_no_longer(tmp_path: Path) -> None:
    """Years of albums that are moved on would use up the kernel's watches."""

    async def story(inbox: Inbox) -> None:
        for n in range(30):
            (inbox.root / f"{n}/cd").mkdir(parents=True)
        await wait_for_async(lambda: watches(inbox) == 61)
        for n in range(30):
            (inbox.root / f"{n}").rename(tmp_path / f"{n}")
        (tmp_path / "29/cd/away.mp3").write_bytes(b"x")
        (inbox.root / "here.mp3").write_bytes(b"x")
        await inbox.hears("here.mp3")
        assert watches(inbox) == 1
        (tmp_path / "0").rename(inbox.root / "0")  # one comes back
        (inbox.root / "1").mkdir()  # one of the same name is made
        await inbox.hears("0", "1")
        await wait_for_async(lambda: watches(inbox) == 4)
        (inbox.root / "0/cd/back.mp3").write_bytes(b"x")
        (inbox.root / "1/new.mp3").write_bytes(b"x")
        await inbox.hears("0/cd/back.mp3", "1/new.mp3")
        assert not any("away" in path for path in inbox.files)
        observer = inbox.watcher._observer
        assert observer is not None
        assert (observer.running, inbox.everything) == (True, False)

    watching(tmp_path / "inbox", story)


def test_a_folder_that_moves_within_the_inbox_stays_watched(tmp_path: Path) -> None:
    """Into another folder, many times; whose file is open there is still known to be."""

    async def story(inbox: Inbox) -> None:
        root = inbox.root
        (root / "a/cd").mkdir(parents=True)
        (root / "b").mkdir()
        await wait_for_async(lambda: watches(inbox) == 4)
        with (root / "a/cd/open.mp3").open("wb"):
            await inbox.hears("a/cd/open.mp3")
            for _ in range(10):
                (root / "a").rename(root / "b/a")
                (root / "b/a").rename(root / "a")
            (root / "a").rename(root / "b/a")
            (root / "last.mp3").write_bytes(b"x")
            await inbox.hears("last.mp3")
            assert inbox.watcher.still_open("open.mp3", 1)
        await inbox.hears("b/a/cd/open.mp3")
        await wait_for_async(lambda: not inbox.watcher.still_open("open.mp3", 1))
        assert watches(inbox) == 4

    watching(tmp_path / "inbox", story)


def test_a_file_that_is_open_in_a_folder_that_left_holds_no_other_up(tmp_path: Path) -> None:
    """Nobody tells when it is closed: one of the same name would wait for ever."""

    async def story(inbox: Inbox) -> None:
        folder = inbox.root / "album"
        folder.mkdir()
        await wait_for_async(lambda: watches(inbox) == 2)
        with (folder / "01.mp3").open("wb"):
            await wait_for_async(lambda: inbox.watcher.still_open("01.mp3", 1))
            folder.rename(tmp_path / "album")
            (inbox.root / "01.mp3").write_bytes(b"x")
            await inbox.hears("01.mp3")
            await wait_for_async(lambda: not inbox.watcher.still_open("01.mp3", 1))

    watching(tmp_path / "inbox", story)


def test_storm_is_bounded_and_wakes_once(tmp_path: Path) -> None:
    """Hints that nobody takes become one "everything" and one wake-up."""

    async def story(inbox: Inbox) -> None:
        wakes = 0

        def woken() -> None:
            nonlocal wakes
            wakes += 1

        watcher = Watcher(
            str(inbox.root), mode="inotify", loop=asyncio.get_running_loop(), wake=woken
        )
        await watcher.start()
        for n in range(MAX_HINTS * 2):
            (inbox.root / f"{n}.mp3").touch()
        await wait_for_async(lambda: watcher._everything and wakes)
        await watcher.stop()  # events that come late would be new hints
        assert wakes == 1
        assert watcher.take_hints() == Hints(frozenset(), frozenset(), True)
        assert watcher.take_hints() == Hints(frozenset(), frozenset(), False)

    watching(tmp_path / "inbox", story)


def test_canary_comes_back_and_leaves_no_trace(tmp_path: Path) -> None:
    """Healthy supervision rebuilds nothing, wakes nobody and leaves no file."""

    async def story(inbox: Inbox) -> None:
        watcher = inbox.watcher
        for now in (100.0, 105.0, 200.0, 300.0, 400.0):
            await asyncio.to_thread(watcher.check, now)
            await wait_for_async(lambda: watcher._released is None or watcher._seen.is_set())
            assert os.listdir(inbox.root) == []
        assert (watcher.healthy, watcher.rebuilds, watcher.reason) == (True, 0, "")
        assert (inbox.wakes, inbox.files) == (0, set())

    watching(tmp_path / "inbox", story)


def _threads_die(watcher: Watcher) -> None:
    assert watcher._observer is not None
    for emitter in watcher._observer.emitters:
        emitter.stop()


def _dispatch_dies(watcher: Watcher) -> None:
    # What a fault inside watchdog does: the thread ends on an event that can't be unpacked.
    assert watcher._observer is not None
    watcher._observer.event_queue.put(("neither event nor watch",))


def _reader_fails(watcher: Watcher) -> None:
    assert watcher._observer is not None
    reader = watcher._observer._reader
    (root_watch,) = reader._watch_for_wd
    reader.handle_event(InotifyEvent(root_watch, Mask(0x100), 0, "no bytes"))  # type: ignore[arg-type]
    assert reader.is_alive()


def _silence(watcher: Watcher) -> None:
    # Every thread lives, the root is the same, and no event reaches us.
    observer = watcher._observer
    assert observer is not None
    observer.remove_handler_for_watch(observer.handler, observer.watch)


def _silence_quietly(watcher: Watcher) -> None:
    with contextlib.suppress(KeyError):  # it was done before
        _silence(watcher)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("break_it", [_threads_die, _dispatch_dies, _reader_fails, _silence])
def test_dead_watcher_is_rebuilt(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], break_it: Callable[[Watcher], None]
) -> None:
    """However its events stop, the next checks notice, rebuild, ask for a scan, and events come."""

    async def story(inbox: Inbox) -> None:
        break_it(inbox.watcher)
        now = 100.0
        deadline = time.monotonic() + 60.0  # threads need real time to die
        while not (inbox.watcher.rebuilds and inbox.watcher.healthy):
            assert time.monotonic() < deadline
            await asyncio.to_thread(inbox.watcher.check, now)
            now += 30.0
            await asyncio.sleep(0.01)
        await wait_for_async(lambda: inbox.everything)
        (inbox.root / "after.mp3").write_bytes(b"x")
        await inbox.hears("after.mp3")

    watching(tmp_path / "inbox", story, grace=20.0)
    assert "watch.rebuilt" in capfd.readouterr().err


def test_root_without_any_events_is_polled(tmp_path: Path) -> None:
    """Where no canary ever comes back, rebuilding stops and the mode says poll."""

    async def story(inbox: Inbox) -> None:
        now = 0.0
        while inbox.watcher.mode == "inotify":
            assert now < 1000.0
            if inbox.watcher._observer is not None:
                _silence_quietly(inbox.watcher)
            await asyncio.to_thread(inbox.watcher.check, now)
            now += 30.0
        assert "no events come" in inbox.watcher.reason
        assert inbox.watcher.healthy
        assert inbox.watcher.rebuilds == 2

    watching(tmp_path / "inbox", story, grace=20.0)


def test_inbox_that_is_a_symlink(tmp_path: Path) -> None:
    """Watched where it leads, with hints under the name that the user gave."""

    async def story(inbox: Inbox) -> None:
        await asyncio.to_thread(inbox.watcher.check, 0.0)
        await wait_for_async(inbox.watcher._seen.is_set)
        (tmp_path / "real/a.mp3").write_bytes(b"x")
        await inbox.hears("a.mp3")

    (tmp_path / "real").mkdir()
    (tmp_path / "inbox").symlink_to(tmp_path / "real")
    watching(tmp_path / "inbox", story)


def test_root_that_was_replaced_is_watched_again(tmp_path: Path) -> None:
    """Deleted: unhealthy, quietly. Made again: rebuilt, a scan asked for, events come."""

    async def story(inbox: Inbox) -> None:
        shutil.rmtree(inbox.root)
        for now in (100.0, 130.0, 160.0):
            await asyncio.to_thread(inbox.watcher.check, now)
            assert not inbox.watcher.healthy
        assert str(inbox.root) in inbox.watcher.reason
        inbox.root.mkdir()
        await asyncio.to_thread(inbox.watcher.check, 190.0)
        assert inbox.watcher.healthy
        assert (inbox.watcher.reason, inbox.watcher.rebuilds) == ("", 1)
        await wait_for_async(lambda: inbox.everything)
        (inbox.root / "a.mp3").write_bytes(b"x")
        await inbox.hears("a.mp3")
        inbox.root.rename(tmp_path / "aside")
        inbox.root.mkdir()
        await asyncio.to_thread(inbox.watcher.check, 220.0)
        assert inbox.watcher.rebuilds == 2
        (inbox.root / "b.mp3").write_bytes(b"x")
        await inbox.hears("b.mp3")

    watching(tmp_path / "inbox", story)


def test_missing_root_does_not_stop_the_start(tmp_path: Path) -> None:
    """Started before its mount, it watches once the folder is there."""

    async def story(_: Inbox) -> None:
        late = Inbox(tmp_path / "late")
        await late.watcher.start()
        assert not late.watcher.healthy
        late.root.mkdir()
        await asyncio.to_thread(late.watcher.check, 1.0)
        assert late.watcher.healthy
        await late.watcher.stop()

    watching(tmp_path / "inbox", story)


def test_overflow_asks_for_a_scan(tmp_path: Path) -> None:
    """With the reader held up, the kernel drops events; that is noticed and new ones come."""

    async def story(inbox: Inbox) -> None:
        observer = inbox.watcher._observer
        assert observer is not None
        source = str(tmp_path / "source")
        Path(source).touch()
        names = str(inbox.root / "1.txt"), str(inbox.root / "2.txt")
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        if limit > 100_000:
            pytest.skip("this machine queues too many events to overflow in a test")
        with observer._reader._lock:
            for n in range(limit + 2500):  # one "created" each, and no two equal in a row
                os.link(source, names[n % 2])
                os.unlink(names[n % 2])
        await wait_for_async(lambda: inbox.everything)
        inbox.files.clear()
        (inbox.root / "after.mp3").write_bytes(b"x")
        await wait_for_async(lambda: inbox.collect().everything or "after.mp3" in inbox.files)

    watching(tmp_path / "inbox", story)


def test_stop_leaves_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    """Started, rebuilt and stopped ten times, the process is as before."""
    (tmp_path / "inbox").mkdir()

    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async def run() -> None:
        before = 0
        for turn in range(10):
            inbox = Inbox(tmp_path / "inbox")
            await inbox.watcher.start()
            _threads_die(inbox.watcher)
            while not inbox.watcher.rebuilds:
                await asyncio.to_thread(inbox.watcher.check, 1.0)
            await inbox.watcher.stop()
            if turn == 1:
                before = descriptors()
        assert descriptors() <= before

    asyncio.run(run())


def test_polling_does_nothing_and_loads_no_watchdog(tmp_path: Path) -> None:
    """In poll mode there is no thread, no canary, and watchdog stays out of memory."""
    code = """
        import asyncio, os, sys, threading
        from stemwatch.inbox.watcher import Watcher
        async def run():
            watcher = Watcher(
                sys.argv[1], mode="poll", loop=asyncio.get_running_loop(), wake=exit, reason="nfs"
            )
            await watcher.start()
            watcher.check(1.0)
            print(watcher.mode, watcher.reason, watcher.healthy, threading.active_count())
            await watcher.stop()
        asyncio.run(run())
        print(os.listdir(sys.argv[1]), "watchdog" in sys.modules)
    """
    assert _python(code, str(tmp_path)) == ["poll nfs True 1", "[] False"]


LIMITED = """
    import asyncio, sys
    from pathlib import Path
    from stemwatch.inbox.watcher import Watcher
    async def run():
        watcher = Watcher(
            sys.argv[1], mode="inotify", loop=asyncio.get_running_loop(), wake=lambda: None
        )
        await watcher.start()
        print(watcher.mode)
        for n in range(40):
            Path(sys.argv[1], str(n)).mkdir(exist_ok=True)
        for now in range(200):
            await asyncio.to_thread(watcher.check, float(now))
            if watcher.mode == "poll":
                break
            await asyncio.sleep(0.02)
        print(watcher.mode, watcher.healthy, watcher.take_hints().everything)
        print(watcher.reason)
        await watcher.stop()
    asyncio.run(run())
"""


@pytest.mark.parametrize(
    ("limit", "value", "first", "sysctl"),
    [
        ("max_inotify_watches", 0, "poll", "fs.inotify.max_user_watches="),
        ("max_inotify_watches", 8, "inotify", "fs.inotify.max_user_watches="),
        ("max_inotify_instances", 0, "poll", "fs.inotify.max_user_instances="),
    ],
)
def test_used_up_limits_turn_to_polling(
    tmp_path: Path, limit: str, value: int, first: str, sysctl: str
) -> None:
    """At start or later, for the root or one subfolder: polling, with the line that mends it."""
    unshare = shutil.which("unshare")
    script = f'echo {value} > /proc/sys/user/{limit} && exec "$0" "$@"'
    inside = [unshare or "", "--user", "--map-root-user", "sh", "-c", script]
    if not unshare or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no user namespace with limits of its own here")
    start, end, reason = _python(LIMITED, str(tmp_path), prefix=inside)
    assert start == first
    assert end == "poll True True"
    assert f"sudo sysctl {sysctl}" in reason


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes a user who may not write")
def test_read_only_inbox_is_watched_without_proof(tmp_path: Path) -> None:
    """No canary can be written: events come, nothing is rebuilt, and the reason says so."""
    inbox = tmp_path / "inbox"
    inbox.mkdir(mode=0o755)
    for parent in (tmp_path, *list(tmp_path.parents)[:-1]):
        parent.chmod(parent.stat().st_mode | 0o755)
    code = """
        import asyncio, concurrent.futures.thread, os, sys
        import stemwatch.inbox.observer
        from stemwatch.inbox.watcher import Watcher
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        async def run():
            watcher = Watcher(
                sys.argv[1], mode="inotify", loop=asyncio.get_running_loop(), wake=lambda: None
            )
            await watcher.start()
            for now in (0.0, 100.0, 200.0):
                await asyncio.to_thread(watcher.check, now)
            print(watcher.mode, watcher.healthy, watcher.rebuilds)
            print(watcher.reason)
            await watcher.stop()
        asyncio.run(run())
    """
    state, reason = _python(code, str(inbox))
    assert state == "inotify True 0"
    assert "no canary can be written" in reason


def test_canary_is_ignored_by_every_filter() -> None:
    """Even a user who wants all extensions gets no job from it."""
    assert not Filter([CANARY.rpartition("-")[2], "stemwatch-canary"]).wanted(CANARY)


def _python(code: str, *arguments: str, prefix: list[str] | None = None) -> list[str]:
    command = [*(prefix or []), sys.executable, "-c", textwrap.dedent(code), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
