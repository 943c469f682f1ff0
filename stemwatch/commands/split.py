"""`stemwatch split`: files and folders now, with progress bars."""

from __future__ import annotations

import asyncio
import os
from traceback import format_exception
from typing import TYPE_CHECKING

import click

from stemwatch.commands.common import config_option, key_of, settings_or_defaults, start_log
from stemwatch.config import Settings
from stemwatch.errors import StemwatchError
from stemwatch.job import FORMATS, STEM_FILES, STEMS, Options
from stemwatch.log import redacted
from stemwatch.service.leave import then_leave
from stemwatch.ui.bars import Bars

if TYPE_CHECKING:
    from stemwatch.operations.split import Report


@click.command("split")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="PATH...")
@click.option("-o", "--out", default="stems", show_default=True, metavar="DIR", help="Results.")
@click.option("--stems", type=click.Choice([str(n) for n in STEMS]), help="2, 4 or 6.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Of the stems.")
@click.option("--stem-file", type=click.Choice(STEM_FILES), help="Also all in one .stem.m4a.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Songs at once.")
@click.option("--local", is_flag=True, help="Separate on this machine: no key, preview quality.")
@config_option
def command(
    paths: tuple[str, ...],
    out: str,
    stems: str | None,
    format_: str | None,
    stem_file: str | None,
    jobs: int | None,
    local: bool,
    config_file: str | None,
) -> int:
    """Separate files, or all songs in folders, into DIR. The files stay where they are.

    Of a folder, results are left out: DIR, every song's folder with its sidecar, and the outbox,
    archive and quarantine of the configuration. What is named itself is always taken.

    After Ctrl-C, the same command goes on where it was, and nothing is paid for twice. Exits 0
    when all are done, 3 when some can't be done, 1 when it can't go on (no credit, no server) or
    there are no songs, 130 after Ctrl-C.
    """
    settings = settings_or_defaults(config_file, local=local)
    options = _options(settings, stems, format_, stem_file)
    key = key_of(settings)
    start_log(settings, key, level="critical")
    from stemwatch.operations.split import Order, run_split

    async def all_of_it() -> int:
        with Bars() as bars:
            order = Order(
                paths=[os.path.abspath(path) for path in paths],
                out=os.path.abspath(out),
                options=options,
                jobs=jobs,
                tell=bars.tell,
                show=lambda context, report: bars.update(
                    list(context.progress.running.values()), report.finished, report.found
                ),
            )
            report = await run_split(settings, order, key=key)
        for line in _conclusion(report):
            click.echo(line, err=True)
        return report.exit_code

    return asyncio.run(then_leave(all_of_it(), _tell))


def _tell(fault: BaseException) -> None:
    """Print the fault that ended the run, where a hanging share prevents the usual report."""
    words = str(fault) if isinstance(fault, StemwatchError) else "".join(format_exception(fault))
    click.echo(f"stemwatch: {redacted(words.rstrip())}", err=True)


def _options(
    settings: Settings, stems: str | None, format_: str | None, stem_file: str | None
) -> Options:
    """The configuration's options, overridden by those of the command line."""
    chosen = settings.separation
    number = int(stems) if stems else chosen.stems
    if stem_file and number == 2:
        raise click.UsageError(
            "--stem-file holds drums, bass, other and vocals, which 2 stems don't give; add "
            "--stems 4 or --stems 6."
        )
    mixes = dict(chosen.mixes) if number == chosen.stems else {}
    usual = chosen.stem_file if number != 2 else None
    return Options(number, format_ or chosen.format, mixes, stem_file or usual)


def _conclusion(report: Report) -> list[str]:
    if not (report.found or report.interrupted):
        return ["No songs there (results of stemwatch are left out)."]
    lines = [f"{report.delivered} delivered, {report.failed} failed."]
    if report.held:
        lines.append(f"The rest waits: {report.held}")
    if report.held or report.interrupted:
        lines.append("Run the same command again to go on; nothing is paid for twice.")
    return lines
