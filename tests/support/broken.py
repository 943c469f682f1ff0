"""An installation that is broken in real processes of ours, until it is mended.

Before anything else they run what the file `fault.py` of a folder holds; without one they are
sound. `Broken.env` takes it to whatever is started with it.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
_AT_START = """
import os, sys
helper = "stemwatch.audio" in sys.orig_argv or "stemwatch.server.work.worker" in sys.orig_argv
service = "tests.acceptance.scaled" in sys.orig_argv
if helper or service:
    try:
        fault = open({path!r}).read()
    except FileNotFoundError:
        fault = ""
    if ("# in the service" in fault) is service:
        exec(fault)
"""
# What PyAV 19 did to 0.1.0: an argument that it does not know. `{of}`: what the path must hold.
TYPE_ERROR = """
import av
def fail(path, *_, **__):
    if {of!r} in str(path):
        raise TypeError("open() got an unexpected keyword argument")
    return real(path, *_, **__)
real, av.open = av.open, fail
"""
NO_AUDIO = """
import av
def fail(*_, **__):
    raise av.error.InvalidDataError(1, "Invalid data found")
av.open = fail
"""
CRASH = """
import av, os, signal
def fail(*_, **__):
    os.kill(os.getpid(), signal.SIGSEGV)
av.open = fail
"""
# A tag reader that ends the process, at the songs of an inbox.
TAGS_CRASH = """
import mutagen.wave, os, signal
class Crash(mutagen.wave.WAVE):
    def __init__(self, path):
        if "/inbox/" in path:
            os.kill(os.getpid(), signal.SIGSEGV)
        super().__init__(path)
mutagen.wave.WAVE = Crash
"""
# A disk that fails under the tags of an inbox's songs, as the file system and mutagen tell it.
TAGS_DISK = """
import errno, mutagen, mutagen.wave
class Failing(mutagen.wave.WAVE):
    def __init__(self, path):
        if "/inbox/" in path:
            raise mutagen.MutagenError(OSError(errno.EIO, "Input/output error"))
        super().__init__(path)
mutagen.wave.WAVE = Failing
"""
# A disk that fails under the stems, with the error `{errno}`.
MEASURE_DISK = """
import stemwatch.audio.meters.measures as measures
def fail(path, *_):
    raise OSError({errno}, "of the disk", path)
measures.measure = fail
"""
# A disk that takes `{seconds}` for each second of sound that is written below `{folder}`.
SLOW_DISK = """
import time
from stemwatch.audio.codec import Encoder
def slowly(encoder, block):
    real(encoder, block)
    if encoder._path.startswith({folder!r}):  # not the helper's own test, which has a minute
        time.sleep(len(block) / encoder.rate * {seconds})
real, Encoder.write_native = Encoder.write_native, slowly
"""
# A meter that ends the process.
MEASURE_CRASH = """
import os, signal
import stemwatch.audio.meters.measures as measures
def fail(*_):
    os.kill(os.getpid(), signal.SIGSEGV)
measures.measure = fail
"""
# A mix of several stems that ends the process; the self-test mixes one alone.
MIX_CRASH = """
import os, signal
import stemwatch.audio.mix as mixing
def fail(inputs, *given):
    if len(inputs) > 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    return real(inputs, *given)
real, mixing.mix = mixing.mix, fail
"""
# The first sidecar that the service opens: no descriptor is free at that moment.
NO_DESCRIPTOR = """
# in the service
import errno, os
def fail(path, *given, **named):
    if str(path).endswith(".stemwatch.json") and not failed:
        failed.append(path)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
    return real(path, *given, **named)
failed, real, os.open = [], os.open, fail
"""
# A step of the service, for the songs whose names hold `{of}`.
STEP = """
# in the service
import stemwatch.workers.steps.fetch as fetch
def fail(job):
    if {of!r} in job.name:
        raise AttributeError("no such attribute")
    return real(job)
real, fetch._staged = fetch._staged, fail
"""
# What takes songs in, for those whose names hold `{of}`.
INTAKE = """
# in the service
import stemwatch.inbox.reading as reading
def fail(path, *_):
    if {of!r} in path:
        raise AttributeError("no such attribute")
    return real(path, *_)
real, reading.examine = reading.examine, fail
"""
NO_START = "os._exit(3)"


def no_library(name: str) -> str:
    """One that can't be imported."""
    return f"sys.modules[{name!r}] = None"


def unreadable(name: str) -> str:
    """One whose files this account may not read."""
    return f"""
class Denied:
    def find_spec(self, name, *_):
        if name == {name!r}:
            raise PermissionError(13, "Permission denied", name)
sys.meta_path.insert(0, Denied())
"""


class Broken:
    """A folder below `root` that breaks every helper that is started with `env`."""

    def __init__(self, root: Path) -> None:
        folder = root / "broken-installation"
        folder.mkdir()
        self.path = os.fspath(folder / "fault.py")
        code = _AT_START.format(path=self.path)
        (folder / "sitecustomize.py").write_text(code)
        self.env = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}

    def by(self, fault: str) -> None:
        """The helpers that start from now on have it."""
        Path(self.path).write_text(fault)

    def mend(self) -> None:
        os.unlink(self.path)
