"""`--device`: what it may be. `auto` believes in a GPU only after it has done a segment.

Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from stemwatch.errors import ConfigFault

AUTO, CPU, GPU = "auto", "cpu", "cuda:0"
GPU_NAME = re.compile(r"cuda(?::(\d{1,2}))?")
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")  # Linux, and Windows' Linux

TryOn = Callable[[str, bool], None]  # a device, and whether to run a segment there


def check(device: str) -> None:
    """ConfigFault for what is no device's name."""
    if device not in (AUTO, CPU) and not GPU_NAME.fullmatch(device):
        raise ConfigFault(
            f"There is no device named {device!r}.",
            hint="--device is auto, cpu, cuda, or cuda:1 for the second GPU.",
        )


def settle(
    device: str, try_on: TryOn, drivers: tuple[str, ...] = _DRIVERS
) -> dict[str, str | None]:
    """`device` as it will be used, and a `note` where a GPU that is here is not used.

    An explicit one that doesn't work is a ConfigFault, as is a CPU that doesn't.
    """
    if device == AUTO:
        note = None
        if any(map(os.path.exists, drivers)):
            try:
                _try(GPU, try_on)
                return {"device": GPU, "note": None}
            except ConfigFault as fault:
                note = f"the GPU is not used, the CPU is: {fault}"
        _try(CPU, try_on)
        return {"device": CPU, "note": note}
    _try(device, try_on)
    return {"device": device, "note": None}


def _try(device: str, try_on: TryOn) -> None:
    try:
        try_on(device, device != CPU)
    except ConfigFault:
        raise
    except Exception as fault:  # a runtime raises what it likes
        why = f"{type(fault).__name__}: {fault}"
        raise ConfigFault(f"The network does not run on {device}: {why}.") from None
