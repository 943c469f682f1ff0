"""From options to an offer: the engine found, its models there, its device tried, seats counted.

Whatever is missing for the first song is a fault of the start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from stemwatch.errors import ConfigFault
from stemwatch.extras import NEURAL
from stemwatch.models.folder import Installed, folder_of, look, require
from stemwatch.server import machine
from stemwatch.server.engines import Engine, Placed, find
from stemwatch.server.engines.neural.choosing import check as check_device
from stemwatch.server.offer import Offer
from stemwatch.server.options import Options
from stemwatch.server.work.process import TaskFailed, Worker, WorkerDied

COMPILED = "compiled"  # below the folder of models
LOADING = 600.0  # seconds: a large model is compiled on a slow machine


async def prepare(options: Options, say: Callable[[str], None]) -> Offer:
    """The offer; `say` is told of what is less than was asked for. Raises ConfigFault."""
    engine = find(options.engine)
    if options.jobs is not None and options.jobs < 1:
        raise ConfigFault(f"--jobs must be at least 1, not {options.jobs}.")
    check_device(options.device)
    if not engine.models:
        if options.device != "auto":
            raise ConfigFault(
                f"The engine {engine.name!r} runs on the CPU only.", hint="Leave --device out."
            )
        cores = machine.cores()
        usual = max(1, cores - 1)
        seats = seats_for(engine, options.jobs, machine.memory(), say, usual=usual)
        threads = max(1, cores // seats) if engine.threaded else 1
        placed = Placed(engine.place, {"threads": threads} if engine.threaded else {})
        return Offer(engine, placed, seats, threads=threads)
    if not options.device.startswith("cuda"):  # a GPU has a runtime of its own
        NEURAL.require()
    folder = folder_of(options.model_dir, os.environ)
    models = _models(engine, folder)
    seats = seats_for(engine, options.jobs, machine.memory(), say)
    threads = max(1, machine.cores() // seats)
    settings = {
        "models": {str(stems): one.path for stems, one in models.items()},
        "device": options.device,
        "threads": threads,
        "kept": os.path.join(folder, COMPILED),
    }
    answer = await _ready(Placed(engine.place, settings))
    if answer["note"]:
        say(f"warning: {answer['note']}")
    placed = Placed(engine.place, {**settings, "device": answer["device"]})
    return Offer(
        engine, placed, seats, models, answer["device"], threads, extras=("local", "neural")
    )


def _models(engine: Engine, folder: str) -> dict[int, Installed]:
    """Those that are here; the engine's first one must be."""
    first = next(iter(engine.models.values()))
    found = {first: require(folder, first)}
    for name in engine.models.values():
        if name not in found and (one := look(folder, name)) is not None:
            found[name] = one
    return {stems: found[name] for stems, name in engine.models.items() if name in found}


def seats_for(
    engine: Engine,
    wanted: int | None,
    memory: int | None,
    say: Callable[[str], None],
    *,
    usual: int = 1,
) -> int:
    """`usual`, unless another number is wanted; at most as many as there is `memory` for."""
    seats = wanted or usual
    if memory is None or seats * engine.memory <= memory:
        return seats
    fit = max(1, memory // engine.memory)
    if fit < seats or wanted is None:
        say(
            f"warning: a seat of {engine.name!r} takes {engine.memory / 1e9:.2g} GB and "
            f"{memory / 1e9:.3g} GB are free: {fit} at once."
        )
    return fit


async def _ready(placed: Placed) -> Mapping[str, Any]:
    """Load it in a process that ends again; the next ones find what was compiled."""
    try:
        worker = await Worker.start(placed)
        try:
            return await worker.call({"task": "ready"}, silence=LOADING)
        finally:
            await worker.stop()
    except (TaskFailed, WorkerDied, OSError) as fault:
        raise ConfigFault(f"The engine can't be loaded: {str(fault).rstrip('.')}.") from None
