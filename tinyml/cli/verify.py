"""``tinyml verify``: is this bundle what was written, and does it compute the same here?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json, table


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a bundle: its files and its parity.

    Re-hashes every file and repeats parity from reference.safetensors, without torch. Exit 5
    names what was changed, or the first stage that diverges.

    Example: tinyml verify demo-bundle
    """
    from tinyml.pipeline.summary import parity_rows
    from tinyml.pipeline.verify import verify

    with progress(as_json=False) as report:
        checked = verify(bundle, report)
    if as_json:
        put_json(checked.to_json())
        return
    put(table(*parity_rows(checked.parity)))
    for skipped in checked.skipped:
        put(f"not checked: {skipped}")
    put(f"{bundle}: {checked.files} files unchanged, parity holds")
