"""The command ``tinyml``: its verbs, and what becomes of an error.

Exit codes: 0 ok; 1 the machine's fault; 2 usage; 3 bad input; 4 device; 5 validation;
130 interrupted.
"""

from __future__ import annotations

import atexit
import functools
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NoReturn

import typer

import tinyml
from tinyml.cli import (
    bench,
    compare,
    device,
    doctor,
    evaluate,
    export,
    inspect,
    listen,
    models,
    predict,
    prune,
    report,
    results,
    scale,
    targets,
    train,
    verify,
)
from tinyml.cli.settings import PanelCommand, export_flags
from tinyml.cli.terminal import say
from tinyml.cli.usage import VerbGroup
from tinyml.core.errors import INTERRUPTED, InputError, RecipeError, TinymlError
from tinyml.core.finite import is_finite

BUG = "error: this is a bug in tinyml: please report this, with the lines above"
# New objects before garbage is looked for.
GARBAGE = 10_000

HELP = """Deploy compact PyTorch models to boards, checked against PyTorch on the way.

Five minutes, from training to a Raspberry Pi bundle:

\b
  tinyml train synthetic --out runs/demo
  tinyml export runs/demo --target rpi --out demo-bundle
  tinyml verify demo-bundle
  tinyml predict demo-bundle YOUR_RECORDING.wav
  tinyml bench demo-bundle
  tinyml report demo-bundle
"""

app = typer.Typer(
    cls=VerbGroup,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

VERBS: dict[str, Callable[..., None]] = {
    "train": train.command,
    "eval": evaluate.command,
    "prune": prune.command,
    "scale": scale.command,
    "export": export.command,
    "verify": verify.command,
    "predict": predict.command,
    "listen": listen.command,
    "bench": bench.command,
    "compare": compare.command,
    "results": results.command,
    "report": report.command,
    "inspect": inspect.command,
    "models": models.command,
    "targets": targets.command,
    "doctor": doctor.command,
}


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, whose errors become one line, a hint and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            _check_numbers(options)
            command(*arguments, **options)
        except TinymlError as error:
            print(f"error: {_shown(error.message, error)}", file=sys.stderr)
            if error.hint:
                print(f"hint: {_shown(error.hint, error)}", file=sys.stderr)
            for line in error.details:
                say(_shown(line, error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            print("interrupted: run the same command again to resume", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output is gone: let nothing else be written at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None

    return run


def _shown(text: str, error: TinymlError) -> str:
    """Settings as options of the command line, but in what is said of a recipe's text."""
    return text if isinstance(error, RecipeError) else export_flags(text)


def _flag(name: str) -> str:
    named = f"`{name}`"
    flag = export_flags(named)
    return f"--{name.replace('_', '-')}" if flag == named else flag


def _check_numbers(options: Mapping[str, Any]) -> None:
    """Raise `InputError` for a number that is not finite: it passes every limit."""
    for name, value in options.items():
        if isinstance(value, float) and not is_finite(value):
            raise InputError(f"{_flag(name)} is {value}", hint="give a finite number")


for verb, function in VERBS.items():
    app.command(verb, cls=PanelCommand)(guarded(function))

devices = typer.Typer(cls=VerbGroup, help=device.HELP, no_args_is_help=True, rich_markup_mode=None)
for verb, function in device.VERBS.items():
    devices.command(verb, cls=PanelCommand)(guarded(function))
app.add_typer(devices, name="device")


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


def main() -> None:
    """Run the command line and exit with the code of what happened; a bug shows its traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    # A letter that the terminal's encoding has not is escaped, on stdout as on stderr.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Imports make a command's objects, and hardly any of them become garbage.
    gc.set_threshold(GARBAGE)
    atexit.register(gc.freeze)
    try:
        app()
    except Exception:
        traceback.print_exc()
        print(BUG, file=sys.stderr)
        raise SystemExit(1) from None


def _terminate(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
