"""A worker process: `python -m stemwatch.server.work.worker [ENGINE SETTINGS]`, a task at a time.

Tasks come as JSON lines on standard input, answers go as JSON lines to standard output:

    -> {"task": "separate", "source", "out_dir", "stems", "format", "name"}
    -> {"task": "probe", "source", "name"}
    -> {"task": "test", "folder"}
    -> {"task": "ready"}
    <- {"progress": 0.25}
    <- {"done": {...}}  or  {"error": {"kind", "message"}}

The end of standard input is the end of the server, however it died: the worker ends at once.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from stemwatch.audio.helper.fault_kinds import told
from stemwatch.codes import Code
from stemwatch.errors import Reject, StemwatchError
from stemwatch.server.engines import Placed, load, read_through

NICENESS = 5
PROGRESS_EVERY = 0.2  # seconds

MADE, MADE_SECONDS = "made.wav", 3.0

Say = Callable[[dict[str, Any]], None]


def main(engine: Placed | None) -> None:
    answers = _claim_stdout()
    # Ctrl-C reaches the whole terminal group; the server decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the hardened unit's system call filter refuses it
        os.nice(NICENESS)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    while True:
        task = tasks.get()
        try:
            say({"done": _sure(task, engine, say)})
        except BrokenPipeError:
            return
        except Exception as fault:
            if not isinstance(fault, StemwatchError):
                traceback.print_exc()  # the client gets a sentence, the server's log the rest
            say({"error": {"kind": _kind(fault), "message": _message(fault, task)}})
        gc.collect()  # a mix of an hour must not linger until the next task


def _claim_stdout() -> BinaryIO:
    """Keep standard output for the answers; what a library prints then goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _listen(tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    code = 1
    try:
        for line in sys.stdin.buffer:
            tasks.put(json.loads(line))
        code = 0
    except Exception:
        traceback.print_exc()
    finally:  # at once, whatever the engine is doing: its server is gone
        os._exit(code)


def _sure(task: dict[str, Any], engine: Placed | None, say: Say) -> dict[str, Any]:
    """`_do`, blaming no file for a disk: to a decoder, a failed read is the file's end."""
    try:
        return _do(task, engine, say)
    except Reject:
        if "source" in task:
            read_through(task["source"])
        raise


def _do(task: dict[str, Any], engine: Placed | None, say: Say) -> dict[str, Any]:
    if task["task"] == "probe":
        return _probe(task["source"])
    if task["task"] == "test":
        return _test(task["folder"], engine, say)
    assert engine is not None
    if task["task"] == "ready":
        answer: dict[str, Any] = load(f"{engine.place.partition(':')[0]}:ready")(**engine.settings)
        return answer
    return _separate(task, engine, say)


def _probe(source: str) -> dict[str, Any]:
    """Codec and duration; raises Reject for what is no audio. The engine judges any damage.

    The content decides, never the file's name.
    """
    from stemwatch.audio.frames import Source

    with Source(source) as opened:
        if next(opened.frames(), None) is None:  # long text named .mp3 opens, and decodes nothing
            raise Reject(
                f"{os.path.basename(source)!r} opens as audio, but nothing in it decodes.",
                code=Code.NOT_AUDIO,
                hint="Send a whole MP3, WAV, FLAC, M4A, OGG or WEBM file.",
            )
        return {"codec": opened.codec, "duration": _duration(opened)}


def _duration(opened: Any) -> float:
    """Seconds by the header; where it declares none (a live WEBM), by the times of the packets."""
    base = float(opened.stream.time_base or 0)
    if opened.stream.duration:
        return max(0.0, float(opened.stream.duration) * base)
    if opened.container.duration:
        return max(0.0, float(opened.container.duration) / 1_000_000)
    times = (float(packet.pts) for packet in opened.demux() if packet.pts is not None)
    return max(0.0, base * max(times, default=0.0))


def _separate(task: dict[str, Any], engine: Placed, say: Say) -> dict[str, Any]:
    last = 0.0

    def progress(fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY:
            last = now
            say({"progress": min(max(float(fraction), 0.0), 1.0)})

    result = load(engine.place)(
        task["source"],
        task["out_dir"],
        stems=task["stems"],
        format=task["format"],
        progress=progress,
        **engine.settings,
    )
    return {
        "files": {name: _inside(task["out_dir"], path) for name, path in result.stems.items()},
        "bpm": _number(result.bpm),
        "key": result.key,
        "bpm_confidence": _number(result.bpm_confidence),
        "key_confidence": _number(result.key_confidence),
        # An engine of somebody's own may be older than these
        "tuning_cents": _number(getattr(result, "tuning_cents", None)),
        "first_beat_seconds": _number(getattr(result, "first_beat_seconds", None)),
        "duration": _number(result.duration),
    }


def _test(folder: str, engine: Placed | None, say: Say) -> dict[str, Any]:
    """Probe and separate a made song. A Reject passes: the engine has looked into the song.

    Without an engine, it is probed only.
    """
    from stemwatch.server.made_song import write_song

    source = os.path.join(folder, MADE)
    write_song(source, seconds=MADE_SECONDS)
    _probe(source)
    if engine is None:
        return {}
    task = {"source": source, "out_dir": folder, "stems": 2, "format": "wav"}
    with contextlib.suppress(Reject):
        _separate(task, engine, say)
    return {}


def _inside(folder: str, path: str) -> str:
    """The name of a stem's file; an engine that writes elsewhere is at fault."""
    name = os.path.basename(path)
    if not os.path.samefile(os.path.join(folder, name), os.path.join(folder, path)):
        raise ValueError(f"the engine wrote {path!r} outside of its folder")
    return name


def _number(value: Any) -> float | None:
    return None if value is None else float(value)  # numpy's scalars are not JSON


def _kind(fault: Exception) -> str:
    if isinstance(fault, MemoryError):
        return "memory"
    if isinstance(fault, OSError):  # also of a share that is away, or of files that are too many
        return "disk"
    if isinstance(fault, Reject):
        return "rejected"
    return "internal" if told(fault)["code"] == Code.INTERNAL else "failed"


def _message(fault: Exception, task: dict[str, Any]) -> str:
    """One sentence for the client: its own file's name in place of the server's path."""
    if isinstance(fault, StemwatchError):
        text = str(fault)
    elif isinstance(fault, MemoryError):
        text = "The server has not enough memory for this file."
    else:
        text = f"The engine failed: {type(fault).__name__}: {fault}"
    if "source" not in task:
        return text
    source = task["source"]
    return text.replace(source, task["name"]).replace(os.path.basename(source), task["name"])


if __name__ == "__main__":
    main(Placed(sys.argv[1], json.loads(sys.argv[2])) if len(sys.argv) > 1 else None)
