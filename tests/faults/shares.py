"""Network shares: what is written through one is found, whole, once; its server may come and go.

    python -m tests.faults.shares              as CI runs it, where samba and sshfs are installed
    python -m tests.faults.shares --full       every story at every stage, SMB by rclone too

The real service, a paid API on loopback, and real shares on loopback (`exports.py`):

    exported    the service on the NAS itself: its inbox is a folder that Samba exports, and clients
                write through it: slowly, broken off and continued, under temp names, many at once
    smb         the service elsewhere: its inbox is an SMB share (rclone); the server is killed and
                comes back, hangs, and the share is unmounted and mounted again
    sftp        inbox, outbox, archive and quarantine all on one share (sshfs): at each stage of a
                song (waiting, submitted, separating, delivered) the server hangs, is killed, or the
                share is unmounted

What is asked in each: every song delivered once and paid once, no original lost, none taken that
was not whole, nothing half visible; where the share was away, a pause that says so, status and poll
going on meanwhile, and work that goes on by itself. Exits 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.harness import KEY, SCALED, Home, Service
from tests.acceptance.songs import wav_bytes
from tests.faults import result
from tests.faults.exports import (
    SAMBA,
    SFTP_MOUNT,
    SMB_MOUNT,
    Samba,
    SftpMount,
    SmbMount,
    why_no_shares,
)
from tests.faults.looking import originals
from tests.faults.result import Result, several
from tests.faults.soak import Server
from tests.support.waiting import wait_for

FOLDERS = ("inbox", "outbox", "quarantine", "archive")
FACTOR = 0.03  # of the service's waiting times: 15 s between two looks at a disk are 0.45 s
ANSWER = 0.5  # seconds that a mount may take to answer
SETTLE, RESCAN = 0.3, 0.4
LONG = 30.0  # seconds of a song that is uploaded for a while
HELD = 1.0  # seconds that the API takes for a step in which the share goes away
STAGES = ("waiting", "submitting", "separating", "separated")
TROUBLES = ("hangs", "dies", "unmounted")


@dataclass
class Figures:
    """One story's outcome; `faults` says in words where a promise was broken."""

    name: str
    songs: int = 0
    troubles: int = 0
    seconds: float = 0.0
    longest_find: float = 0.0  # rescans from a song's last byte to its journal row
    paused: list[float] = field(default_factory=list)  # seconds until a pause told of the trouble
    back: list[float] = field(default_factory=list)  # seconds until work went on
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = f"{self.name}: {self.songs} songs, {self.troubles} troubles, {self.seconds:.0f} s"
        if self.longest_find:
            told += f", found within {self.longest_find:.1f} rescans"
        if self.paused:
            told += f", told within {max(self.paused):.1f} s, back within {max(self.back):.1f} s"
        return "\n    ".join([f"{told}; {len(self.faults)} faults", *self.faults])


class Story:
    """A service, its API and what is asked of both. `real` are the folders behind the share."""

    def __init__(self, root: Path, server: Server, figures: Figures) -> None:
        self.server, self.figures = server, figures
        self.real = root / "nas"
        for name in FOLDERS:
            (self.real / name).mkdir(parents=True, exist_ok=True)
        self.home = Home(root / "home", server.url)
        self._root = root
        self.wanted: dict[str, str] = {}  # relative paths with the SHA-256 of the whole song
        self.service: Service | None = None

    def configure(self, **folders: Path) -> None:
        """Which folder is where; what is not named is on this machine's own disk."""
        home = self.home
        home.configure(
            self.server.url,
            folders={name: str(folders.get(name, home.root / name)) for name in FOLDERS},
            watch={"settle_seconds": SETTLE, "rescan_seconds": RESCAN},
            log={"format": "json", "level": "info"},
        )

    @contextmanager
    def running(self) -> Iterator[Service]:
        command = [*SCALED, str(FACTOR), str(self.home.config), f"disk_answer={ANSWER}"]
        with Service(self.home, command, KEY) as self.service:
            yield self.service

    def song(self, relpath: str, *, seconds: float = 1.0) -> bytes:
        """The bytes of a new song that has to be delivered from `relpath`."""
        self.figures.songs += 1
        data = wav_bytes(self.figures.songs, seconds=seconds)
        self.wanted[relpath] = hashlib.sha256(data).hexdigest()
        return data

    def fault(self, text: str) -> None:
        self.figures.faults.append(text)

    def require_polled(self, fstype: str) -> None:
        assert self.service is not None
        started = self.service.wait_for_event("service.started")
        if started["watch"] != "poll" or fstype not in started["reason"]:
            self.fault(f"watched by {started['watch']} on {fstype}: {started['reason']}")

    def journaled(self, relpath: str, since: float) -> None:
        """Wait for the song's row, and note how many rescans it took since it was whole."""
        assert self.service is not None
        name = relpath.rpartition("/")[2]
        wait_for(lambda: self.queued(name), timeout=60, what=f"{name} in the journal")
        took = (time.monotonic() - since - SETTLE) / RESCAN
        self.figures.longest_find = max(self.figures.longest_find, took)

    def queued(self, name: str) -> bool:
        assert self.service is not None
        return any(event["name"] == name for event in self.service.events("job.queued"))

    def paused(self, *codes: str) -> bool:
        with suppress(OSError, ValueError):
            return any(pause["code"] in codes for pause in self.home.status()["pauses"])
        return False

    def finished(self, timeout: float = 90.0) -> None:
        """Wait until every song is delivered and filed, and nothing is paused."""

        def all_done() -> bool:
            done = self.home.journal_count("done")
            return done >= len(self.wanted) and not self.home.status()["pauses"]

        try:
            wait_for(all_done, timeout=timeout, every=0.1)
        except AssertionError:
            self.fault(f"only {self.home.journal_count('done')} of {len(self.wanted)} are done")

    def judge(self, outbox: Path, *places: Path) -> None:
        """Each song delivered once and paid once, its original in the archive, nothing else."""
        home = self.home
        home.outbox = outbox
        delivered = Counter(sidecar["source"]["sha256"] for sidecar in home.sidecars().values())
        paid = Counter(content for content, _, _ in self.server.paid().elements())
        there = originals(*places)
        for relpath, content in self.wanted.items():
            for what, count in (
                ("delivered", delivered[content]),
                ("paid", paid[content]),
                ("kept", there[content]),
            ):
                if count != 1:
                    self.fault(f"{relpath}: {what} {count} times")
        if strange := (paid.keys() | delivered.keys()) - set(self.wanted.values()):
            self.fault(f"{len(strange)} contents taken that were no whole song")


# -- on the NAS itself ---------------------------------------------------------------------------


def exported(story: Story, root: Path, *, full: bool) -> None:
    """Clients write into a local inbox through Samba."""
    inbox = story.real / "inbox"
    story.configure(inbox=inbox)
    many = 200 if full else 12
    with Samba(root, story.real) as samba, story.running():
        samba.do("put - inbox/plain.wav", story.song("plain.wav"))
        story.journaled("plain.wav", time.monotonic())
        _temp_names(story, samba)
        _broken_off(story, samba)
        _slowly(story, samba)
        _preallocated(story, samba)
        folder = root / "client" / "album"
        folder.mkdir(parents=True)
        for number in range(many):
            name = f"track {number:03d}.wav"
            (folder / name).write_bytes(story.song(f"album/{name}"))
        samba.do(f"lcd {folder.parent}; cd inbox; recurse on; prompt off; mput album")
        story.finished()
    story.judge(story.home.outbox, story.home.archive, inbox, story.home.quarantine)


def _rescans(story: Story, count: int) -> None:
    def scans() -> int:
        return int(story.home.status()["watcher"]["scans"])

    until = scans() + count
    wait_for(lambda: scans() >= until, what=f"{count} rescans")


def _temp_names(story: Story, samba: Samba) -> None:
    """What Finder, Windows, rsync and browsers put beside a song, then the song's own name."""
    data = story.song("renamed.wav")
    for junk in ("._renamed.wav", ".DS_Store", "Thumbs.db", "desktop.ini", "~$renamed.wav"):
        samba.do(f'put - "inbox/{junk}"', b"junk" * 100)
    for temp in (".renamed.wav.Ab3dE9", "renamed.wav.part", "renamed.wav.crdownload"):
        samba.do(f'put - "inbox/{temp}"', data)
    _rescans(story, 2)
    if story.queued("renamed.wav"):
        story.fault("taken under a temp name")
    samba.do('del "inbox/.renamed.wav.Ab3dE9"; del "inbox/renamed.wav.crdownload"')
    samba.do('rename "inbox/renamed.wav.part" "inbox/renamed.wav"')
    story.journaled("renamed.wav", time.monotonic())


def _broken_off(story: Story, samba: Samba) -> None:
    """A client that is killed in the middle of its copy, and copies again later."""
    data = story.song("broken.wav", seconds=LONG)
    with samba.writer("inbox/broken.wav") as client:
        _send(client, data[: len(data) // 2])
        half = story.real / "inbox" / "broken.wav"
        wait_for(lambda: half.exists() and half.stat().st_size > len(data) // 4, what="a half")
        client.kill()
    _rescans(story, 2)
    if story.queued("broken.wav"):
        story.fault("a broken copy was taken")
    samba.do("put - inbox/broken.wav", data)
    story.journaled("broken.wav", time.monotonic())


def _slowly(story: Story, samba: Samba) -> None:
    """Written piece by piece, with rests shorter than the quiet window."""
    data = story.song("slow.wav", seconds=LONG)
    with samba.writer("inbox/slow.wav") as client:
        for start in range(0, len(data), len(data) // 8):
            _send(client, data[start : start + len(data) // 8])
            time.sleep(SETTLE / 2)
            if story.queued("slow.wav"):
                story.fault("taken while it was written")
    story.journaled("slow.wav", time.monotonic())


def _preallocated(story: Story, samba: Samba) -> None:
    """Explorer sets a file's length first, which makes a file of holes; and the copy stops a while.

    Its header is right and its length too; only the holes tell.
    """
    data = story.song("explorer.wav", seconds=LONG)
    with samba.writer("inbox/explorer.wav", length=len(data)) as client:
        _send(client, data[: len(data) // 3])
        _rescans(story, 3)
        if story.queued("explorer.wav"):
            story.fault("a copy with holes was taken")
        _send(client, data[len(data) // 3 :])
    story.journaled("explorer.wav", time.monotonic())


def _send(client: subprocess.Popen[bytes], data: bytes) -> None:
    assert client.stdin is not None
    client.stdin.write(data)
    client.stdin.flush()


# -- the service elsewhere -----------------------------------------------------------------------


def smb(story: Story, root: Path, *, full: bool) -> None:
    """Only the inbox is on a share, of a real SMB server."""
    with (
        Samba(root, story.real) as samba,
        SmbMount(root / "mnt", samba, "music/inbox") as mount,
    ):
        story.configure(inbox=mount.path)
        with story.running():
            story.require_polled("fuse.rclone")
            samba.do("put - inbox/first.wav", story.song("first.wav"))
            story.journaled("first.wav", time.monotonic())
            _broken_off(story, samba)
            story.finished()
            for trouble in TROUBLES if full else ("dies",):
                samba.do(f"put - inbox/{trouble}.wav", story.song(f"{trouble}.wav", seconds=LONG))
                _trouble(story, mount, trouble)
                story.finished()
    story.judge(story.home.outbox, story.home.archive, story.real / "inbox", story.home.quarantine)


def sftp(story: Story, root: Path, *, full: bool) -> None:
    """All four folders on one share, which goes away at each stage of a song."""
    chosen = [(stage, trouble) for stage in STAGES for trouble in TROUBLES]
    if not full:
        chosen = [("submitting", "hangs"), ("separated", "unmounted")]
    with SftpMount(root / "mnt", story.real) as mount:
        story.configure(**{name: mount.path / name for name in FOLDERS})
        with story.running():
            story.require_polled("fuse.sshfs")
            for stage, trouble in chosen:
                _reach(story, stage, f"{stage} {trouble}.wav")
                _trouble(story, mount, trouble)
                story.server.scenario()
                story.finished()
    places = [story.real / name for name in ("archive", "inbox", "quarantine")]
    story.judge(story.real / "outbox", *places)


def _reach(story: Story, stage: str, name: str) -> None:
    """Drop a song and wait until it is at this stage, where the API holds it for a while."""
    slow = {"delay": HELD}
    if stage == "submitting":
        story.server.scenario(post=[slow])
    elif stage == "separating":
        story.server.scenario(get=[slow])
    elif stage == "separated":
        story.server.scenario(download=[slow])
    (story.real / "inbox" / name).write_bytes(story.song(name))
    if stage != "waiting":
        wait_for(lambda: story.home.journal_count(stage), what=f"{name} {stage}")


def _trouble(story: Story, mount: SmbMount | SftpMount, how: str) -> None:
    """The share goes away until the service says so, and comes back.

    The service has to be alive meanwhile: it writes its status, and goes on by itself afterwards.
    """
    story.figures.troubles += 1
    began = time.monotonic()
    {"hangs": mount.freeze, "dies": mount.kill, "unmounted": mount.umount}[how]()
    try:
        wait_for(lambda: story.paused("inbox", "disk"), timeout=45, what=f"a pause: {how}")
        story.figures.paused.append(time.monotonic() - began)
        until = time.monotonic() + 3 * RESCAN
        while time.monotonic() < until:
            assert story.service is not None
            if story.service.process.poll() is not None:
                story.fault(f"{how}: the service ended")
            time.sleep(0.1)
        stopped_at = story.home.status()["written_at"]
        if not story.paused("inbox", "disk"):
            story.fault(f"{how}: no pause is told any more")
        wait_for(
            lambda: story.home.status()["written_at"] > stopped_at,
            what=f"status, while the share {how}",
        )
    except AssertionError as fault:
        story.fault(str(fault))
    finally:
        mount.thaw() if how == "hangs" else mount.remount()
    back = time.monotonic()
    wait_for(lambda: not story.paused("inbox", "disk"), timeout=60, what=f"after it {how}")
    story.figures.back.append(time.monotonic() - back)


Tell = Callable[..., None]
STORIES: dict[str, tuple[Tell, tuple[str, ...]]] = {
    "exported": (exported, SAMBA),
    "smb": (smb, SMB_MOUNT),
    "sftp": (sftp, SFTP_MOUNT),
}


def why_not(name: str) -> str | None:
    """Why this story can't be told on this machine; None if it can."""
    return why_no_shares(*STORIES[name][1])


def tell(name: str, root: Path, *, full: bool) -> Figures:
    """One story in the folder `root`."""
    figures, began = Figures(name), time.monotonic()
    with Server(root / "ledger") as server:
        STORIES[name][0](Story(root, server, figures), root, full=full)
    figures.seconds = time.monotonic() - began
    return figures


def result_of(all_figures: Sequence[Figures], untold: Sequence[str]) -> Result:
    """Of all stories together; `untold`: why one could not be told here."""
    attack = (
        f"real shares on loopback ({', '.join(figures.name for figures in all_figures)}): clients "
        "through Samba (slow, killed half-way, lengths set first as Explorer does, temp names); "
        "inbox on SMB (rclone), all folders on SFTP (sshfs): the server hangs or is killed, the "
        "share unmounted, at each stage of a song"
    )
    faults = [f"{one.name}: {fault}" for one in all_figures for fault in one.faults]
    paused = [seconds for figures in all_figures for seconds in figures.paused]
    back = [seconds for figures in all_figures for seconds in figures.back]
    found = (
        f"of {sum(figures.songs for figures in all_figures)} songs in "
        f"{sum(figures.troubles for figures in all_figures)} such troubles "
        f"{several(len(faults), 'fault')} (not delivered and paid once, taken half-copied, lost, "
        f"trouble not told); told within {max(paused, default=0.0):.0f} s, back within "
        f"{max(back, default=0.0):.1f} s"
    )
    return Result("a share costs time only", attack, found, [*faults, *untold])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every story, every stage")
    parser.add_argument("--only", choices=sorted(STORIES), action="append")
    result.add_option(parser)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts on its way out
    told: list[Figures] = []
    untold: list[str] = []
    for name in options.only or STORIES:
        if (reason := why_not(name)) is not None:
            untold.append(f"{name} could not be told: {reason}")
            print(untold[-1], flush=True)
            continue
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            figures = tell(name, Path(folder), full=options.full)
        print(figures, flush=True)
        told.append(figures)
    return result.conclude(result_of(told, untold), options.json)


if __name__ == "__main__":
    sys.exit(main())
