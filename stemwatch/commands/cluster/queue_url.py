"""The URL of a cluster's database, for the commands: out of a private file, or of a variable."""

from __future__ import annotations

import os

from stemwatch.errors import ConfigFault
from stemwatch.private_file import read_secret

VARIABLE = "STEMWATCH_QUEUE_URL"


def place_of(file: str | None) -> str:
    """How messages name where the URL was given."""
    return f"${VARIABLE}" if file is None else f"--queue-url-file {file}"


def given(file: str | None) -> str | None:
    """The checked URL in `file`, else in the variable; None: neither is there.

    The variable is taken out of the environment, since the engine's processes must not have it.
    Raises ConfigFault, which names the place and never shows the URL: it holds a password.
    """
    variable = os.environ.pop(VARIABLE, "").strip()
    if file is None and not variable:
        return None
    text = variable if file is None else read_secret(file, "--queue-url-file: ")
    from stemwatch.server.cluster.database import well_formed  # 40 ms, which others need not wait

    if not well_formed(text.strip()):
        raise ConfigFault(
            f"{place_of(file)} holds no URL of a PostgreSQL database.",
            hint="Such as postgresql://stemwatch:PASSWORD@db.lan/stemwatch; signs in the password "
            "are written as %40 (@), %2F (/) and so on.",
        )
    return text.strip()


def required(file: str | None) -> str:
    """As `given`, where one is needed."""
    url = given(file)
    if url is None:
        raise ConfigFault(
            "The cluster's database is not named.",
            hint=f"Give a file with its URL by --queue-url-file, or set ${VARIABLE}.",
        )
    return url
