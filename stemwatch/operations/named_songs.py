"""Which jobs a person means by a word: an id, a name or a path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence

from stemwatch.job import Job
from stemwatch.log import printable


def chosen(jobs: Sequence[Job], word: str, cwd: str) -> list[Job]:
    """The jobs that `word` names: by id, else by name, path below the inbox, or whole path."""
    if word.isdecimal() and (found := [job for job in jobs if job.id == int(word)]):
        return found
    path = os.path.normpath(os.path.join(cwd, word))
    return [job for job in jobs if word in _names(job) or path in (job.filed_to, job.path)]


def nearest(jobs: Sequence[Job], word: str) -> list[str]:
    """Up to three names of `jobs` that are similar to `word`, the most similar first."""
    names = {printable(job.name): None for job in jobs}
    return difflib.get_close_matches(printable(os.path.basename(word)), names, n=3, cutoff=0.6)


def _names(job: Job) -> set[str]:
    filed = {os.path.basename(job.filed_to)} if job.filed_to else set()
    return {job.name, job.relpath, printable(job.name), printable(job.relpath)} | filed
