"""The wires by the names that `api.wire` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.client import SeparationApi
from stemwatch.stemsplit.presigned import PresignedApi
from stemwatch.stemsplit.separate import SeparateApi

_WIRES: Mapping[str, Callable[..., SeparationApi]] = {
    "separate": SeparateApi,
    "presigned": PresignedApi,
}


def open_api(wire: str, calls: Calls) -> SeparationApi:
    """The API behind `calls`, spoken to on this wire."""
    return _WIRES[wire](calls)
