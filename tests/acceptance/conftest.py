"""The acceptance suite holds on both wires: each test that has a server runs once on each."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", params=["separate", "presigned"])
def wire(request: pytest.FixtureRequest) -> str:
    """The wire that the server and the service speak."""
    return str(request.param)
