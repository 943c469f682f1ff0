"""`stemwatch`: finds the command; turns every fault into a clear sentence and an exit code."""

from __future__ import annotations

import os
import shlex
import sys
from importlib import import_module

import click

from stemwatch import __version__
from stemwatch.errors import AlreadyRunning, ConfigFault, StemwatchError

FAILED, ALREADY_RUNNING, CONFIGURATION, INTERRUPTED = 1, 75, 78, 130

_COMMANDS = {
    "run": "the service: watch the inbox, separate what is dropped there",
    "split": "separate files or folders now, with progress bars",
    "demo": "see the whole service work in a temporary folder, no key needed",
    "status": "what waits, runs, is paused or in quarantine, and what was spent",
    "history": "what was delivered, when, where to, and at what cost",
    "retry": "bring files back from quarantine, without paying twice",
    "discard": "end songs in quarantine: their files go to the archive, or are deleted",
    "again": "have a delivered song separated anew, which is paid anew",
    "pause": "submit nothing new, until `resume` or a time",
    "resume": "end the pause",
    "first": "submit this waiting song next",
    "estimate": "minutes and cost, before spending anything",
    "check": "find every fault at once: configuration, folders, key, API, clock",
    "config": "what is in force, and where each key comes from",
    "init": "write a commented configuration",
    "serve": "the separation server: the same API on your own machine",
    "worker": "a worker of a cluster: separates what its front ends have queued",
    "queue": "a cluster's queue: its tables, what waits, what failed",
    "models": "the neural engines' weights: which are here, fetch one, import one",
    "completion": "the script for your shell: bash, zsh or fish",
}
# Commands that are in a room of their own.
_ROOMS = {
    **dict.fromkeys(("pause", "resume", "first", "discard", "again"), "control."),
    **dict.fromkeys(("worker", "queue"), "cluster."),
}


class _Commands(click.Group):
    """Loads a command's module only when it is called, so `status` does not wait for PyAV."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in _COMMANDS:
            return None
        command = import_module(f"stemwatch.commands.{_ROOMS.get(name, '')}{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` name. Raises UsageError that names the nearest one for a typo.

        click itself suggests only commands that are loaded, and none is loaded here.
        """
        name = args[0]
        if name in _COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from stemwatch.log import printable  # 40 ms, which only faults need

        raise click.UsageError(f"No such command '{printable(name)}'. {_meant(name)}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _meant(name: str) -> str:
    """One sentence with what a user who typed `name` may have meant."""
    import difflib  # both imported here, since only typos need them

    from stemwatch.log import printable

    near = difflib.get_close_matches(name.lower(), _COMMANDS, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    if os.path.exists(name):
        return f"To separate it: `stemwatch split {printable(shlex.quote(name))}`."
    return f"There are {', '.join(_COMMANDS)}."


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stemwatch")
def stemwatch() -> None:
    """Drop a song into a folder; get its stems, its tempo and its key."""


def main() -> None:
    """Run the console script and exit.

    Exit codes: 0 done, 1 failed, 2 usage, 3 quarantined, 75 already running, 78 configuration,
    130 interrupted.
    """
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command, print the fault if it fails, and return its exit code."""
    try:
        result = stemwatch.main(arguments, prog_name="stemwatch", standalone_mode=False)
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.ClickException as fault:
        fault.show()
        return fault.exit_code
    except StemwatchError as fault:
        _explain(fault)
        return _exit_code(fault)
    except FileNotFoundError:
        if not _is_nowhere():
            raise
        hint = "Give the command again in another folder: `cd` comes first."
        nowhere = ConfigFault("The folder that you are in was deleted.", hint=hint)
        _explain(nowhere)
        return _exit_code(nowhere)
    except KeyboardInterrupt:
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _explain(fault: StemwatchError) -> None:
    from stemwatch.log import printable

    for sentence in getattr(fault, "faults", ()) or (fault.message,):
        click.echo(f"stemwatch: {printable(sentence)}", err=True)
    if fault.hint:
        click.echo(f"stemwatch: {printable(fault.hint)}", err=True)


def _exit_code(fault: StemwatchError) -> int:
    if isinstance(fault, ConfigFault):
        return CONFIGURATION
    return ALREADY_RUNNING if isinstance(fault, AlreadyRunning) else FAILED


if __name__ == "__main__":
    main()
