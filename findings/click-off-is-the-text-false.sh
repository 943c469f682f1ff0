#!/usr/bin/env bash
# An option of click that stands for a value, `--gpu` for "cuda", is the text 'False' where APP_GPU=0 is set.
#
# From 8.2 on a variable of the environment is no value for such an option, but a switch. Off is meant by `0` and
# `no`, and what off is, False, is made a text by the option's type. A text is true: `if device:` has the
# GPU on, `open(device)` fails on "False", and `default="cpu"` is passed over. A container's variables are
# where it is turned off. click 8.2.1 turns it on for 0; 8.1 gave the variable's own text, '0'.
# Seen with click 8.5.1: APP_GPU=1 is 'cuda', APP_GPU=0 is 'False', none is 'cpu'.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq click==8.5.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import click
from click.testing import CliRunner

@click.command()
@click.option("--gpu", "device", flag_value="cuda", default="cpu", envvar="APP_GPU")
def separate(device):
    click.echo(repr(device), nl=False)

def chosen(value, *arguments):
    result = CliRunner().invoke(separate, arguments, env={"APP_GPU": value})
    assert result.exit_code == 0
    return result.output

given = {text: chosen(text) for text in ("1", "0", "no", "off", "false")}
unset, by_option = chosen(None), chosen(None, "--gpu")
print("version:  click", version("click"))
print("expected: --gpu and APP_GPU=1 are 'cuda', without them, and with APP_GPU=0, it is 'cpu'")
print(f"seen:     --gpu is {by_option}, without it {unset}")
print("          " + ", ".join(f"APP_GPU={text} is {device}" for text, device in given.items()))
off = {device for text, device in given.items() if text != "1"}
sys.exit(0 if (by_option, unset, given["1"], off) == ("'cuda'", "'cpu'", "'cuda'", {"'False'"}) else 1)
END
