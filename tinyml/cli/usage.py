"""Errors of the command line itself: an option that does not exist, a value of another type."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from tinyml.core.errors import LONGEST
from tinyml.core.text import one_line

# click's `UsageError`, from wherever typer has click.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]


class VerbGroup(TyperGroup):
    """Verbs whose usage errors are one line, whatever the arguments that they repeat hold."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse what comes before the verb."""
        with _in_one_line():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Parse the verb's arguments and run it."""
        with _in_one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except USAGE_ERROR as error:
        if type(error).show is USAGE_ERROR.show:  # else it is not an error: it shows the help text
            text = one_line(error.format_message(), LONGEST)
            error.format_message = lambda: text
        raise
