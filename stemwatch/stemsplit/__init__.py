"""The separation API: uploads, polls and downloads, with the key kept to its own origin."""

from stemwatch.lean_imports import without

with without("httpx._main"):  # httpx's own command line, never used
    import httpx  # noqa: F401 - here, before any module of this room imports it
