"""The data directory that all machines of a cluster share: opened, and known to be the same one."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from hashlib import sha256

from stemwatch.errors import ConfigFault
from stemwatch.server.cluster.database import Database, one
from stemwatch.server.secret_file import load_secret, read_secret
from stemwatch.server.work.folder_lock import hold
from stemwatch.server.work.job_files import Files


def open_files(data_dir: str) -> Files:
    """The shared folders, with a part of the incoming that no other process has.

    They are held as the cluster's until this process ends. Raises AlreadyRunning, or OSError.
    """
    instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    files = Files(data_dir, instance)
    hold(files.root, shared=True)
    files.open()
    return files


async def is_shared(database: Database, files: Files) -> bool:
    """Whether the shared folder is there now, not an empty one where it was mounted.

    Raises OSError where it does not answer, and Unavailable.
    """
    secret = await asyncio.to_thread(read_secret, os.path.join(files.root, "secret"))
    async with database.transaction() as connection:
        known = await one(connection, "select folder from stemwatch_cluster")
    return secret is not None and known == (sha256(secret).hexdigest(),)


async def same_folder(database: Database, files: Files) -> None:
    """Raise ConfigFault where the other machines of this queue use another folder.

    Else each song that is submitted there would be looked for here, in vain. Raises Unavailable.
    """
    secret = os.path.join(files.root, "secret")
    try:
        digest = sha256(load_secret(secret)).hexdigest()
    except OSError as fault:
        raise ConfigFault(
            f"The file {secret} can't be used by uid {os.getuid()}: {fault.strerror}.",
            hint="Front ends and workers must run as the same user (uid) on all machines.",
        ) from None
    async with database.transaction() as connection:
        await connection.execute(
            "insert into stemwatch_cluster (folder) values (%s) on conflict do nothing", (digest,)
        )
        known = await one(connection, "select folder from stemwatch_cluster")
    if known is None or known[0] != digest:
        raise ConfigFault(
            f"--data-dir {files.root} is not the folder that the other machines of "
            f"{database.place} use.",
            hint="Mount that folder here; the file `secret` in it must be the same one. Where this "
            "is the right one, and the first start was wrong: `stemwatch queue init --new-folder`.",
        )
