"""The wires (dialects of the API) by their names in `api.wire`; a new one is added here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stemwatch.limits import Limits
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import SeparationApi
from stemwatch.stemsplit.presigned import PresignedApi
from stemwatch.stemsplit.separate import SeparateApi

SEPARATE, PRESIGNED = "separate", "presigned"
_WIRES: Mapping[str, Callable[..., SeparationApi]] = {
    SEPARATE: SeparateApi,
    PRESIGNED: PresignedApi,
}
LIMITS: Mapping[str, Limits] = {
    SEPARATE: SeparateApi.limits,
    PRESIGNED: PresignedApi.limits,
}


def open_api(wire: str, calls: Calls) -> SeparationApi:
    """The API behind `calls`, spoken to on this wire."""
    return _WIRES[wire](calls)
