"""`stemwatch completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_STEMWATCH_COMPLETE"  # click's name for it; the script sets it at every Tab


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the completion script for SHELL.

    \b
    bash: stemwatch completion bash > ~/.local/share/bash-completion/completions/stemwatch
    zsh:  stemwatch completion zsh > ~/.zfunc/_stemwatch     (with fpath+=~/.zfunc before compinit)
    fish: stemwatch completion fish > ~/.config/fish/completions/stemwatch.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    script = found(click.Group(), {}, "stemwatch", VARIABLE)
    # Not `source()`, which runs this machine's bash for its version: there may be no bash.
    click.echo(script.source_template % script.source_vars())
    return 0
