"""The command ``tinyml``: its verbs, and what becomes of an error.

Exit codes: 0 ok; 1 the machine's fault; 2 usage; 3 bad input; 4 device; 5 validation;
130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

import tinyml
from tinyml.cli import (
    bench,
    doctor,
    evaluate,
    export,
    inspect,
    models,
    predict,
    targets,
    train,
    verify,
)
from tinyml.errors import INTERRUPTED, TinymlError

HELP = """Compact models from PyTorch to a bundle that is proven on the runtime it will run on.

Five minutes, from training to a Raspberry Pi bundle:

  tinyml train synthetic --out runs/demo
  tinyml export runs/demo --target rpi --out demo-bundle
  tinyml verify demo-bundle
  tinyml predict demo-bundle recording.wav
  tinyml bench demo-bundle
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

for verb, module in (
    ("train", train),
    ("eval", evaluate),
    ("export", export),
    ("verify", verify),
    ("predict", predict),
    ("bench", bench),
    ("inspect", inspect),
    ("models", models),
    ("targets", targets),
    ("doctor", doctor),
):
    app.command(verb)(module.command)


def _version(value: bool) -> None:
    if value:
        print(f"tinyml {tinyml.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line and exit with the code of what happened."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except TinymlError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        _interrupted()
    sys.exit(0)


def _terminate(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _interrupted() -> NoReturn:
    print("interrupted: the same command again continues", file=sys.stderr)
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
