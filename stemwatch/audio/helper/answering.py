"""The helper process: reads JSON requests, a line each, and answers them until stdin ends.

For each request it writes an empty line when it is taken, and a JSON line when it is done.
A decoder that crashes on a damaged file, or wants all memory, takes this process with it and not
the service.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple

from stemwatch.audio.helper.fault_kinds import told

MEMORY = 2 << 30  # bytes of address space; a start takes 0.3 GiB, the largest mix 0.5
_GRACE = 10.0  # seconds that a request may still run once the parent is gone
# Of a song's tags: more than names and tempo have use for, and in all less than an answer may have.
_VALUES, _LETTERS = 10, 400


def main() -> None:
    """Serve requests until stdin ends; no core dumps, limited memory, one thread for arithmetic."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is imported
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up among the answers
    _serve(sys.stdin.buffer, answers)


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(requests, lines), daemon=True).start()
    while line := lines.get():
        request = json.loads(line)
        missing = _load(request["op"])
        answers.write(b"\n")  # taken: from here on an early end is this request's
        answers.flush()
        answer = _answer(request) if missing is None else told(missing)
        # ensure_ascii (the default) carries the surrogates of a name that isn't UTF-8
        answers.write(json.dumps(answer).encode("ascii") + b"\n")
        answers.flush()


def _load(operation: str) -> Exception | None:
    """Load an operation's libraries at its first request: most never mix, and numpy costs 0.1 s.

    Before the request is taken: a library that ends the process must not be blamed on a song.
    """
    try:
        importlib.import_module(_OPERATIONS[operation].module)
    except OSError as fault:  # of their own files, such as one that may not be read: no song's disk
        return ImportError(str(fault))
    except Exception as fault:
        return fault
    return None


def _read(requests: BinaryIO, lines: SimpleQueue[bytes]) -> None:
    """Reads beside the work, so that a decoder that hangs doesn't outlive the service."""
    try:
        while line := requests.readline():
            lines.put(line)
    finally:  # however it ends, nobody asks any more
        lines.put(b"")
        timer = threading.Timer(_GRACE, os._exit, (1,))
        timer.daemon = True
        timer.start()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    operation = _OPERATIONS[request.pop("op")]
    try:
        return {"result": operation.call(**request)}
    except Exception as fault:  # an oddity on one file is not the end of the helper
        return told(fault)


def _probe(path: str) -> dict[str, Any]:
    from stemwatch.audio.stem_file.recognising import probe_song

    return asdict(probe_song(path))


def _probes(paths: list[str]) -> list[dict[str, Any]]:
    return [_answer({"op": "probe", "path": path}) for path in paths]


def _verify(path: str, expected: float | None, format: str | None) -> dict[str, Any]:
    from stemwatch.audio.verify import verify

    return asdict(verify(path, expected=expected, format=format))


def _tag(
    source: str,
    files: dict[str, dict[str, Any]],
    format: str,
    bpm: float | None,
    key: str | None,
    whole: bool,
    serato: bool,
    afresh: bool,
) -> list[str]:
    from stemwatch.audio.results import StemTag
    from stemwatch.audio.stemtags import write_tags
    from stemwatch.audio.tagging.serato import cue_points
    from stemwatch.audio.tagging.song_tags import SourceTags
    from stemwatch.audio.tags import read_tags

    tags = read_tags(source) if source else SourceTags()
    if source and serato:
        tags = replace(tags, serato=cue_points(source, format))
    notes = [
        write_tags(path, format, tags, StemTag(**own), bpm=bpm, key=key, whole=whole, afresh=afresh)
        for path, own in files.items()
    ]
    return list(dict.fromkeys(note for note in (tags.note, *notes) if note))


def _tags(path: str) -> dict[str, list[str]]:
    from stemwatch.audio.tags import read_tags

    found = read_tags(path, demand=True).text
    return {
        name: [value[:_LETTERS] for value in values[:_VALUES]] for name, values in found.items()
    }


def _mix(inputs: list[str], out: str, format: str, factors: list[float] | None) -> dict[str, Any]:
    from stemwatch.audio.mix import mix

    return asdict(mix(inputs, out, format, factors))


def _stem_file(stems: dict[str, str], out: str, codec: str) -> None:
    from stemwatch.audio.stem_file.making import make

    make(stems, out, codec)


def _prepare(source: str, target: str) -> dict[str, Any]:
    from stemwatch.audio.preparing.exact_flac import prepare

    return asdict(prepare(source, target))


def _unpack(path: str, stem: str, out: str, format: str) -> None:
    from stemwatch.audio.stem_file.unpacking import unpack

    unpack(path, stem, out, format)


def _measure(path: str, columns: int) -> dict[str, Any]:
    from stemwatch.audio.meters.measures import measure

    found = asdict(measure(path, columns))
    return found | {"waveform": base64.b64encode(found["waveform"]).decode("ascii")}


def _peaks(path: str, columns: int) -> str:
    from stemwatch.audio.meters.waveform import peaks

    return base64.b64encode(peaks(path, columns)).decode("ascii")


def _preview(path: str, start: float, seconds: float, lead: float) -> str:
    from stemwatch.audio.previews import preview

    return base64.b64encode(preview(path, start, seconds, lead)).decode("ascii")


def _test(folder: str) -> None:
    from stemwatch.audio.helper.selftest import self_test

    self_test(folder)


class _Operation(NamedTuple):
    call: Callable[..., Any]
    module: str  # that imports all that it needs


_OPERATIONS = {
    "probe": _Operation(_probe, "stemwatch.audio.stem_file.recognising"),
    "probes": _Operation(_probes, "stemwatch.audio.stem_file.recognising"),
    "verify": _Operation(_verify, "stemwatch.audio.verify"),
    "tag": _Operation(_tag, "stemwatch.audio.stemtags"),
    "tags": _Operation(_tags, "stemwatch.audio.tags"),
    "mix": _Operation(_mix, "stemwatch.audio.mix"),
    "stem_file": _Operation(_stem_file, "stemwatch.audio.stem_file.making"),
    "prepare": _Operation(_prepare, "stemwatch.audio.preparing.exact_flac"),
    "unpack": _Operation(_unpack, "stemwatch.audio.stem_file.unpacking"),
    "measure": _Operation(_measure, "stemwatch.audio.meters.measures"),
    "peaks": _Operation(_peaks, "stemwatch.audio.meters.waveform"),
    "preview": _Operation(_preview, "stemwatch.audio.previews"),
    "test": _Operation(_test, "stemwatch.audio.helper.selftest"),
}
