"""``tinyml verify``: is this bundle what was written, and does it compute the same here?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.cli.device_option import Devices, Tag
from tinyml.cli.terminal import AsJson, progress, put, put_json, put_section
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.pages.tables import Section
    from tinyml.pipeline.verify_on_devices import DeviceVerification
    from tinyml.pipeline.verify_on_link import FileOnLink

HEAD = ("file", "runtime", "verdict", "error", "bound", "SQNR dB")


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    digest: Annotated[
        str | None,
        typer.Option(
            help="The digest that tinyml export printed, or its first 16 or more digits: exit 5 "
            "unless this is that bundle."
        ),
    ] = None,
    device: Devices = None,
    tag: Tag = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle: its files and its parity.

    Hashes every file again, compares what the manifest states twice, and repeats the parity
    check from reference.safetensors, without torch. Exit code 5 names what was changed, the
    first stage that diverges, or the rows that could not be judged. Hashes alone do not show
    who wrote a bundle; --digest does.

    With --device the files run on boards, and their outputs are compared here. Exit code 4 names a
    board or a file that failed.

    Examples:

    \b
      tinyml verify demo-bundle
      tinyml verify demo-bundle --digest 0123456789abcdef
      tinyml verify demo-bundle --device pi4,pi5
    """
    from tinyml.pages.summary import parity_table
    from tinyml.pipeline.verify import verify

    if device is not None or tag is not None:
        _on_devices(bundle, device or "", tag or "", digest, as_json)
        return
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
    for folder, part in checked.parts.items():
        rows = len(part.parity.stages)
        put(f"{folder}: parity holds: {part.judged} of {rows} rows judged")
    put(f"digest: {checked.digest}")
    judged, rows = checked.parity.judged, len(checked.parity.stages)
    put(f"{bundle}: {checked.files} files unchanged, parity holds: {judged} of {rows} rows judged")


def _on_devices(bundle: Path, names: str, tag: str, digest: str | None, as_json: bool) -> None:
    from tinyml.pipeline.devices.choose import choose_devices
    from tinyml.pipeline.verify_on_devices import verify_on_devices

    with progress(as_json=False) as report:
        checked = verify_on_devices(bundle, choose_devices(names, tag), report, digest)
    if as_json:
        put_json(to_json(checked.report))
    else:
        for own in checked.devices:
            put_section(_section(own))
        put(f"digest: {checked.digest}")
        good = sum(own.passes for own in checked.devices)
        put(
            f"{bundle}: {checked.files} files unchanged; all outputs are within tolerance on "
            f"{good} of {len(checked.devices)} devices"
        )
    checked.check()


def _section(own: DeviceVerification) -> Section:
    """One row per file, with its worst output and case; errors follow all sections."""
    from tinyml.pages.tables import Section

    if own.failure is not None:
        return Section(f"{own.device}: failed")
    label = ", emulated" if own.label == "emulated" else ""
    missing = [file.failure for file in own.files if file.failure not in (None, *own.errors)]
    lines = [f"{error.message}; {error.hint}" for error in missing if error is not None]
    return Section(f"{own.device}{label}:", HEAD, list(map(_row, own.files)), tuple(lines))


def _row(file: FileOnLink) -> tuple[object, ...]:
    from tinyml.core.bundle import Parity
    from tinyml.pages.summary import parity_rows
    from tinyml.pipeline.verify_on_devices import verdict_of

    runtime = f"{file.runtime} {file.version}".strip()
    rows = tuple(replace(row, stage="", engine="") for row in file.rows)
    if not rows:
        return (file.path, runtime, verdict_of(file), "-", "-", "-")
    (worst,) = parity_rows(Parity(stages=rows))[1]
    return (file.path, runtime, *worst[2:3], *worst[4:])
