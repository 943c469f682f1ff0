"""The helper process: real processes, real kills."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import mutagen.flac
import numpy as np
import psutil
import pytest

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.probe import probe
from stemwatch.audio.results import Prepared, StemTag
from stemwatch.errors import PauseService, Reject
from tests.support import stem_files
from tests.support.audio_samples import cut, decoded, tone, with_endless_vendor, write
from tests.support.broken import (
    CRASH,
    NO_AUDIO,
    NO_START,
    SLOW_DISK,
    TYPE_ERROR,
    Broken,
    no_library,
    unreadable,
)
from tests.support.scenario.stems import wav_header
from tests.support.waiting import wait_for, wait_for_async


def helpers() -> list[psutil.Process]:
    """The helper processes of this test process that are alive."""
    found = []
    for child in psutil.Process().children():
        try:
            if "stemwatch.audio" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def run(scenario: Callable[[AudioHelper], Awaitable[None]], **settings: float) -> None:
    """Run `scenario` with a helper that is closed afterwards; nothing may be left running."""

    async def main() -> None:
        audio = AudioHelper(**settings)  # type: ignore[arg-type]
        try:
            await scenario(audio)
        finally:
            await audio.close()

    asyncio.run(main())
    assert helpers() == []


MINUTE = 60.0  # seconds


def given_time(attempt: Callable[[float], None], *patience: float) -> None:
    """Call `attempt` with each `patience`, in seconds, until it passes; the last one must.

    A busy machine may take longer than a short one. The first helper's start is no part of it: the
    requests before get a minute.
    """
    *short, longest = patience
    for seconds in short:
        with suppress(AssertionError, OSError, Reject):
            return attempt(seconds)
    return attempt(longest)


@pytest.fixture
def stuck(tmp_path: Path) -> str:
    """A file on which the decoder hangs: a FIFO that nobody writes to."""
    path = tmp_path / "stuck.mp3"
    os.mkfifo(path)
    return os.fspath(path)


def opened_by_reader(fifo: str) -> int:
    """A descriptor to write to the FIFO once somebody reads it; 0 before."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def test_answers_and_faults_cross_the_pipe(tmp_path: Path) -> None:
    """The same Probe, the same Reject, the same OSError as in the helper, for any file name."""
    good = os.fspath(write(tmp_path / os.fsdecode(b"new\nline \xff\xe9.flac")))
    half = os.fspath(cut(write(tmp_path / "half.wav"), 0.5))
    expected = probe(good)

    async def scenario(audio: AudioHelper) -> None:
        assert await audio.probe(good) == expected
        assert await audio.verify(good, 3.0, "flac") == expected
        with pytest.raises(Reject) as raised:
            await audio.probe(half)
        assert raised.value.code == "truncated"
        assert raised.value.hint
        with pytest.raises(Reject) as raised:
            await audio.verify(good, 9.0, "flac")
        assert raised.value.code == "bad_stem"
        with pytest.raises(FileNotFoundError) as missing:
            await audio.probe(os.fspath(tmp_path / "gone.wav"))
        assert missing.value.filename == os.fspath(tmp_path / "gone.wav")
        assert len(helpers()) == 1

    run(scenario)


def test_stems_are_mixed_and_tagged(tmp_path: Path) -> None:
    """The whole local part of a delivery through the helper."""
    song = os.fspath(write(tmp_path / "song.mp3"))
    stems = [os.fspath(write(tmp_path / f"{i}.flac", tone(seed=i) * 0.4)) for i in range(2)]
    out = os.fspath(tmp_path / "mix.flac")

    async def scenario(audio: AudioHelper) -> None:
        result = await audio.mix(stems, out, "flac")
        assert result.gain_db == 0.0
        assert await audio.tag(song, {out: StemTag("Song (Mix)")}, "flac", 124.0, "Gm") == []
        (tmp_path / "broken.flac").write_bytes(b"nothing")
        notes = await audio.tag(
            song, {os.fspath(tmp_path / "broken.flac"): StemTag("T")}, "flac", None, None
        )
        assert len(notes) == 1

    run(scenario)
    assert np.array_equal(decoded(out), decoded(stems[0]) + decoded(stems[1]))
    assert mutagen.flac.FLAC(out)["TITLE"] == ["Song (Mix)"]


def test_a_song_whose_tags_want_all_memory_costs_them_only(tmp_path: Path) -> None:
    """The stem is tagged with what is known without it, and a note says why there is no more."""
    song = with_endless_vendor(write(tmp_path / "song.flac"))
    stem = os.fspath(write(tmp_path / "stem.flac"))

    async def scenario(audio: AudioHelper) -> None:
        assert (await audio.probe(os.fspath(song))).channels == 2
        notes = await audio.tag(os.fspath(song), {stem: StemTag("T")}, "flac", 99.0, None)
        assert [note for note in notes if "can't be read (MemoryError)" in note] == notes != []

    run(scenario)
    assert mutagen.flac.FLAC(stem)["TITLE"] == ["T"]


def test_a_tag_as_long_as_a_book_is_answered_in_part(tmp_path: Path) -> None:
    """The names of stems that are paid for hang on it; of such a text they need the beginning."""
    song = write(tmp_path / "song.flac", tone(0.2))
    flac = mutagen.flac.FLAC(song)
    flac["TITLE"], flac["COMMENT"] = "Song", "Я" * 200_000
    flac.save()

    async def scenario(audio: AudioHelper) -> None:
        found = await audio.tags(os.fspath(song))
        assert found == {"title": ["Song"], "comment": ["Я" * 400]}

    run(scenario)


def test_an_answer_that_is_too_long_pauses_nobody(tmp_path: Path) -> None:
    """It is one request's trouble, as a crash is."""
    good = os.fspath(write(tmp_path / "good.wav", tone(0.2)))

    async def scenario(audio: AudioHelper) -> None:
        with pytest.raises(Reject) as raised:
            await audio.verify(good, None, "x" * (1 << 20))  # the answer says what is wrong
        assert raised.value.code == "decoder_crashed"
        assert (await audio.probe(good)).channels == 2

    run(scenario)


def test_a_stem_whose_tags_can_not_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    """Its own comment block is the damaged one: a note, and the audio bit for bit."""
    stem = with_endless_vendor(write(tmp_path / "stem.flac"))
    before = stem.read_bytes()

    async def scenario(audio: AudioHelper) -> None:
        notes = await audio.tag("", {os.fspath(stem): StemTag("T")}, "flac", None, None)
        assert notes == ["No tags were written (MemoryError)."]

    run(scenario)
    assert stem.read_bytes() == before


def test_a_helper_killed_at_work_rejects_that_file_only(tmp_path: Path, stuck: str) -> None:
    """A crash is the file's fault; the next request gets a fresh process."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        request = asyncio.create_task(audio.probe(stuck))
        writer = await wait_for_async(lambda: opened_by_reader(stuck))
        (victim,) = helpers()
        victim.send_signal(signal.SIGKILL)
        with pytest.raises(Reject) as raised:
            await request
        os.close(writer)
        assert raised.value.code == "decoder_crashed"
        assert "stuck.mp3" in raised.value.message
        assert (await audio.probe(good)).codec == "pcm_s16le"
        assert victim.pid not in [process.pid for process in helpers()]

    run(scenario)


def test_a_helper_killed_before_it_took_the_work_blames_no_file(tmp_path: Path) -> None:
    """Killed while it starts: the request goes to a fresh process."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        request = asyncio.create_task(audio.probe(good))
        (starting,) = await wait_for_async(helpers)
        starting.send_signal(signal.SIGKILL)
        assert (await request).channels == 2

    run(scenario)


def test_a_helper_killed_while_idle_is_replaced_unnoticed(tmp_path: Path) -> None:
    """The kernel may end an idle process; no file is blamed for it."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        await audio.probe(good)
        helpers()[0].send_signal(signal.SIGKILL)
        await wait_for_async(lambda: not helpers())
        assert (await audio.probe(good)).channels == 2

    run(scenario)


def test_the_timer_of_one_that_died_while_idle_ends_with_it(tmp_path: Path) -> None:
    """Else it looked for it among the free ones, and raised where nobody listens."""
    good = os.fspath(write(tmp_path / "good.wav"))
    raised: list[dict[str, object]] = []

    async def scenario(audio: AudioHelper) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: raised.append(fault))
        await audio.probe(good)
        (dead,) = audio._helpers._free
        dead.process.kill()
        await dead.process.wait()
        await audio.probe(good)
        assert dead not in audio._helpers._free
        await wait_for_async(lambda: not audio._helpers._free)  # the later timer has fired

    run(scenario, idle=0.4)
    assert raised == []


def test_a_request_that_takes_too_long_is_ended(stuck: str) -> None:
    """And one that only waited for bytes, as on a share that hangs, has no file to blame."""

    async def scenario(audio: AudioHelper) -> None:
        with pytest.raises(OSError, match="stuck") as raised:
            await audio.probe(stuck)
        assert raised.value.errno == errno.ETIMEDOUT
        assert helpers() == []

    run(scenario, timeout=0.3)


def test_a_disk_that_hangs_in_the_midst_of_long_work_has_no_file_to_blame(tmp_path: Path) -> None:
    """However much has been decoded before: what counts is what it does since it last wrote."""
    song, out = tmp_path / "long.wav", os.fspath(tmp_path / "mix.mp3")
    short = os.fspath(write(tmp_path / "short.wav", tone(0.2)))
    with song.open("wb") as file:
        file.write(wav_header(frames := 600 * 44_100))
        file.truncate(44 + 4 * frames)

    async def scenario(audio: AudioHelper, patience: float) -> None:
        await audio.mix([short], os.fspath(tmp_path / "first.mp3"), "mp3")
        audio._timeout = patience
        (worker,) = helpers()
        before = sum(worker.cpu_times()[:2])
        hung = []

        def hang() -> None:
            if sum(worker.cpu_times()[:2]) > before + 1.0:
                worker.suspend()
                hung.append(worker)

        with pytest.raises(OSError, match="mix") as raised:
            await audio.mix([os.fspath(song)], out, "mp3", tell=hang)
        assert raised.value.errno == errno.ETIMEDOUT
        assert hung

    given_time(
        lambda patience: run(lambda audio: scenario(audio, patience), timeout=MINUTE), 1.0, 9.0
    )


def test_a_slow_disk_may_take_its_time_while_what_is_written_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long song was given up on a NAS after ten minutes, and begun again, without end.

    All of it takes longer than the time of a request, and no step of it half as long.
    """
    broken = Broken(tmp_path)
    monkeypatch.setenv("PYTHONPATH", broken.env["PYTHONPATH"])
    told: list[str] = []

    async def both(audio: AudioHelper, folder: Path, seconds: float) -> tuple[Prepared, str]:
        folder.mkdir(exist_ok=True)
        song = os.fspath(write(folder / "song.wav", tone(seconds)))
        sounds = stem_files.sounds(seconds=seconds)
        stems = os.fspath(stem_files.write(folder / "a.stem.m4a", sounds))
        flac, drums = os.fspath(folder / "song.flac"), os.fspath(folder / "drums.wav")
        prepared, _ = await asyncio.gather(
            audio.prepare(song, flac, tell=lambda: told.append("prepare")),
            audio.unpack(stems, "drums", drums, "wav", tell=lambda: told.append("unpack")),
        )
        return prepared, drums

    async def scenario(audio: AudioHelper, patience: float) -> None:
        await both(audio, tmp_path / "first", 0.2)
        told.clear()
        audio._timeout = patience
        prepared, drums = await both(audio, tmp_path / "long", 4.0)
        assert prepared.exact
        assert (await audio.probe(drums)).duration == pytest.approx(4.0)
        assert {*told} == {"prepare", "unpack"}

    def attempt(patience: float) -> None:
        broken.by(SLOW_DISK.format(seconds=patience / 3, folder=os.fspath(tmp_path)))
        run(lambda audio: scenario(audio, patience), timeout=MINUTE)

    given_time(attempt, 1.5, 8.0)


def test_a_cancelled_request_ends_its_helper(tmp_path: Path, stuck: str) -> None:
    """Its late answer can't be taken for that of the next request."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        request = asyncio.create_task(audio.probe(stuck))
        (first,) = await wait_for_async(helpers)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await wait_for_async(lambda: first not in helpers())
        assert (await audio.probe(good)).duration == pytest.approx(3.0)

    run(scenario)


def test_an_idle_helper_that_is_slow_to_end_does_not_outlive_the_service(tmp_path: Path) -> None:
    """Told to end for idleness, it is still waited for, or killed, when the service closes."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        await audio.probe(good)
        (slow,) = helpers()
        slow.suspend()
        await wait_for_async(lambda: not audio._helpers._free)  # retired, and it can't end
        assert helpers() == [slow]
        await audio.close()
        assert helpers() == []

    run(scenario, idle=0.05)


def test_what_is_asked_when_the_service_closes_is_cancelled(stuck: str) -> None:
    """No song is blamed for a helper that we ended, and none is started to look into that."""

    async def scenario(audio: AudioHelper) -> None:
        asked = [asyncio.create_task(audio.probe(stuck)) for _ in range(4)]
        await wait_for_async(lambda: len(helpers()) == 2)
        await audio.close()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in ended] == [asyncio.CancelledError] * 4
        assert helpers() == []

    run(scenario)


def test_idle_helpers_end_and_come_back(tmp_path: Path) -> None:
    """Nothing of the decoder stays in memory while nothing is dropped."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        await audio.probe(good)
        assert len(helpers()) == 1
        await wait_for_async(lambda: not helpers())
        assert (await audio.probe(good)).channels == 2

    run(scenario, idle=0.2)


def test_no_more_helpers_than_allowed_and_every_request_is_answered(tmp_path: Path) -> None:
    """Forty requests at once share two processes."""
    paths = [os.fspath(write(tmp_path / f"{i}.wav", tone(0.1 * (i + 1)))) for i in range(4)]

    async def scenario(audio: AudioHelper) -> None:
        answers = await asyncio.gather(*(audio.probe(path) for path in paths * 10))
        expected = [pytest.approx(0.1 * (i + 1), abs=1e-4) for i in range(4)] * 10
        assert [answer.duration for answer in answers] == expected
        assert len(helpers()) == 2

    run(scenario)


def test_the_helper_is_limited_and_small(tmp_path: Path) -> None:
    """Two GiB of address space, no core dumps, and a mix of 90 s within 120 MB."""
    paths = [
        os.fspath(write(tmp_path / f"{i}.wav", np.zeros((90 * 44_100, 2), np.float32)))
        for i in range(2)
    ]

    async def scenario(audio: AudioHelper) -> None:
        await audio.mix(paths, os.fspath(tmp_path / "mix.wav"), "wav")
        (process,) = helpers()
        assert process.rlimit(psutil.RLIMIT_AS)[0] == 2 << 30
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 120_000

    run(scenario)


def test_the_helper_does_not_know_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys in the service's environment are not in its helpers'."""
    monkeypatch.setenv("STEMSPLIT_API_KEY", "sk-canary")
    song = write(tmp_path / "song.wav", tone(1.0))

    async def scenario(audio: AudioHelper) -> None:
        await audio.probe(str(song))
        (helper,) = helpers()
        assert "sk-canary" not in str(helper.environ())
        assert helper.environ()["PATH"]

    run(scenario)


def test_a_helper_ends_with_its_service(tmp_path: Path) -> None:
    """SIGKILL of the service leaves nothing behind: the helper's input ends."""
    good = os.fspath(write(tmp_path / "good.wav"))
    service = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio, sys\n"
            "from stemwatch.audio.helper.client import AudioHelper\n"
            "async def main():\n"
            "    audio = AudioHelper()\n"
            "    await audio.probe(sys.argv[1])\n"
            "    print('ready', flush=True)\n"
            "    await asyncio.sleep(60)\n"
            "asyncio.run(main())",
            good,
        ],
        stdout=subprocess.PIPE,
    )
    with service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"ready\n"
        (helper,) = psutil.Process(service.pid).children()
        service.kill()
    wait_for(lambda: not helper.is_running())


def test_the_client_loads_no_decoder() -> None:
    """The idle service holds neither PyAV nor numpy nor mutagen."""
    code = (
        "import sys, stemwatch.audio, stemwatch.audio.helper.client\n"
        "print(sorted({'av', 'numpy', 'mutagen'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_two_hundred_small_files_take_seconds(tmp_path: Path) -> None:
    """A start with 20,000 files waiting must not take an hour: far below 20 ms of CPU a file."""
    path = os.fspath(write(tmp_path / "a.mp3", tone(1)))

    def spent() -> float:
        return time.process_time() + sum(sum(helper.cpu_times()[:2]) for helper in helpers())

    async def scenario(audio: AudioHelper) -> None:
        await audio.probe(path)
        before = spent()
        await asyncio.gather(*(audio.probe(path) for _ in range(200)))
        assert spent() - before < 4.0

    run(scenario)


# What is broken, the requests that meet it, and a word that names it.
BROKEN = {
    "a wrong version": (TYPE_ERROR.format(of=""), "TypeError: open() got an unexpected"),
    "no PyAV": (no_library("av"), "import of av halted"),
    "nothing opens": (NO_AUDIO, "Invalid data found"),
    "it crashes": (CRASH, "made the decoder crash"),
    "a file of PyAV is another's": (unreadable("av"), "Permission denied"),
    "it does not start": (NO_START, "ended before it took any work"),
}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    found = Broken(tmp_path)
    monkeypatch.setenv("PYTHONPATH", found.env["PYTHONPATH"])
    return found


@pytest.mark.parametrize(("fault", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_installation_blames_no_file(
    tmp_path: Path,
    broken: Broken,
    fault: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It pauses everybody, names what is wrong and what mends it, and ends when that is done."""
    good = os.fspath(write(tmp_path / "good.wav"))
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(made))

    async def scenario(audio: AudioHelper) -> None:
        broken.by(fault)
        with pytest.raises(PauseService, match=re.escape(words)) as raised:
            await audio.probe(good)
        assert raised.value.code == "audio_helper"
        assert "av 1" in raised.value.message
        assert f"{sys.executable} -m pip install" in raised.value.hint
        with pytest.raises(PauseService, match=re.escape(words)):
            audio.require_working()  # known now: the next song need not be read
        with pytest.raises(PauseService):
            await audio.test()
        broken.mend()
        await audio.test()
        assert (await audio.probe(good)).channels == 2

    run(scenario)
    assert not list(made.iterdir())


_NO_PLACE = """
import asyncio, resource
from stemwatch.audio.helper.client import AudioHelper
from stemwatch.errors import PauseService
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no folder takes a byte
async def main():
    audio = AudioHelper()
    try:
        await audio.test()
    except PauseService as fault:
        print(fault.message, fault.hint)
    await audio.close()
asyncio.run(main())
"""


def test_without_any_folder_for_temporary_files_the_pause_says_so() -> None:
    """No FileNotFoundError, which in an inbox means that the song is gone."""
    told = subprocess.run([sys.executable, "-c", _NO_PLACE], capture_output=True, text=True)
    assert "No usable temporary directory" in told.stdout, told.stderr
    assert "TMPDIR" in told.stdout


def test_a_folder_for_temporary_files_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what mends it: no library is at fault."""
    gone = os.fspath(tmp_path / "gone")
    monkeypatch.setattr(tempfile, "tempdir", gone)

    async def scenario(audio: AudioHelper) -> None:
        with pytest.raises(PauseService, match=re.escape(gone)) as raised:
            await audio.test()
        with pytest.raises(PauseService) as again:
            audio.require_working()
        for fault in (raised.value, again.value):
            assert "TMPDIR" in fault.hint
            assert "pip" not in fault.hint

    run(scenario)


def test_a_library_that_only_the_end_needs_is_missed_there(tmp_path: Path, broken: Broken) -> None:
    """Songs are probed without mutagen; a stem that can't be tagged for its want waits for it."""
    song, stem = (os.fspath(write(tmp_path / f"{name}.flac")) for name in ("song", "stem"))

    async def scenario(audio: AudioHelper) -> None:
        broken.by(no_library("mutagen"))
        await audio.probe(song)
        with pytest.raises(PauseService, match="mutagen"):
            await audio.tag(song, {stem: StemTag("T")}, "flac", None, None)
        broken.mend()
        await audio.test()
        assert await audio.tag(song, {stem: StemTag("T")}, "flac", None, None) == []

    run(scenario)


def test_one_song_that_meets_a_fault_of_ours_stops_nobody(tmp_path: Path, broken: Broken) -> None:
    """The installation passes its test: this song is the odd one, and asks to be reported."""
    odd, good = (os.fspath(write(tmp_path / f"{name}.wav")) for name in ("odd", "good"))

    async def scenario(audio: AudioHelper) -> None:
        broken.by(TYPE_ERROR.format(of="odd.wav"))
        with pytest.raises(Reject, match="TypeError") as raised:
            await audio.probe(odd)
        assert raised.value.code == "internal"
        assert "report" in raised.value.hint
        assert (await audio.probe(good)).channels == 2

    run(scenario)


def test_a_helper_of_a_version_that_was_replaced_is_asked_no_more(
    tmp_path: Path, broken: Broken
) -> None:
    """An upgrade beside the running service: a fresh helper takes the song, nobody is told."""
    good = os.fspath(write(tmp_path / "good.wav"))

    async def scenario(audio: AudioHelper) -> None:
        broken.by(TYPE_ERROR.format(of="good.wav") + f"os.unlink({broken.path!r})")
        assert (await audio.probe(good)).channels == 2

    run(scenario)


def test_a_damaged_file_is_still_its_own_fault(tmp_path: Path) -> None:
    """Also as the first one of all, which is refused only after the helper has passed its test."""
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no audio" * 1000)

    async def scenario(audio: AudioHelper) -> None:
        with pytest.raises(Reject) as raised:
            await audio.probe(os.fspath(bad))
        assert raised.value.code == "not_audio"

    run(scenario)


def test_of_small_files_that_share_a_request_only_the_bad_one_is_refused(
    tmp_path: Path, stuck: str
) -> None:
    """Also where one of them holds the helper up: each is then asked for alone."""
    songs = [os.fspath(write(tmp_path / f"{n}.wav", tone(1))) for n in range(12)]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no song " * 900)

    async def scenario(audio: AudioHelper, patience: float) -> None:
        async def asked(*paths: str) -> list[object]:
            every = (audio.probe(path, small=True) for path in paths)
            return list(await asyncio.gather(*every, return_exceptions=True))

        found = await asked(*songs[:5], os.fspath(bad), *songs[5:])
        assert isinstance(found.pop(5), Reject)
        assert found == [probe(path) for path in songs]
        audio._timeout = patience  # a fresh helper has to start in it
        found = await asked(*songs[:5], stuck, *songs[5:])
        assert isinstance(found.pop(5), Reject | OSError)
        assert found == [probe(path) for path in songs]

    given_time(
        lambda patience: run(lambda audio: scenario(audio, patience), timeout=MINUTE), 1.5, 25.0
    )
