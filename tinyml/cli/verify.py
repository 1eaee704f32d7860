"""``tinyml verify``: is this bundle what was written, and does it compute the same here?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinyml.cli.terminal import progress, put, put_json
from tinyml.core.typed_json import to_json


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    digest: Annotated[
        str | None,
        typer.Option(
            help="The digest that tinyml export printed, or its first 16 or more digits: exit 5 "
            "unless this is that bundle."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a bundle: its files and its parity.

    Hashes every file again, compares what the manifest states twice, and repeats the parity
    check from reference.safetensors, without torch. Exit code 5 names what was changed, the
    first stage that diverges, or the rows that could not be judged. Hashes alone do not show
    who wrote a bundle; --digest does.

    Examples:

    \b
      tinyml verify demo-bundle
      tinyml verify demo-bundle --digest 0123456789abcdef
    """
    from tinyml.pages.summary import parity_table
    from tinyml.pipeline.verify import verify

    with progress(as_json=False) as report:
        checked = verify(bundle, report, digest)
    if as_json:
        put_json(to_json(checked))
        return
    put(parity_table(checked.parity))
    for line in checked.engines:
        put(line)
    for skipped in checked.skipped:
        put(f"not checked: {skipped}")
    put(f"digest: {checked.digest}")
    judged, rows = checked.parity.judged, len(checked.parity.stages)
    put(f"{bundle}: {checked.files} files unchanged, parity holds: {judged} of {rows} rows judged")
