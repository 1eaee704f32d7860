"""``tinyml device install``, ``rollback``, and ``list NAME``: the bundles on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyml.cli.device_option import Name
from tinyml.cli.terminal import AsJson, progress, put, put_json, put_table, say
from tinyml.core.typed_json import to_json

if TYPE_CHECKING:
    from tinyml.pipeline.devices.install import Installed


def install(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    name: Name,
    called: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="Its name on the device. Default: its folder's."),
    ] = "",
    service: Annotated[
        str,
        typer.Option(
            metavar="RECORDER",
            help="Listen with the bundle as a systemd user service: a recorder command that prints "
            "raw sound.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Install a bundle on a device, and keep the previous version.

    Copies the bundle, checks every file on the device, and then switches atomically: a program
    that opens the bundle finds the old or the new version, complete. Its service is restarted.

    Examples:

    \b
      tinyml device install demo-bundle mypi
      tinyml device install demo mypi --service "arecord -t raw -f S16_LE -r 4000"
    """
    from tinyml.pipeline.devices.install import install_bundle

    with progress(as_json=False) as report:
        installed = install_bundle(bundle, name, report, called=called, capture=service)
    _put_installed(installed, name, as_json)


def rollback(
    bundle: Annotated[str, typer.Argument(help="The bundle's name on the device.")],
    name: Name,
    as_json: AsJson = False,
) -> None:
    """Return to the previous version of an installed bundle.

    The two versions swap places, so a second rollback undoes the first.
    """
    from tinyml.pipeline.devices.install import roll_back

    with progress(as_json=False) as report:
        installed = roll_back(bundle, name, report)
    _put_installed(installed, name, as_json)


def _put_installed(installed: Installed, name: str, as_json: bool) -> None:
    if as_json:
        put_json(to_json(installed))
        return
    own = installed.bundle
    put(f"{own.name} on {name}: version {own.current} is in use, in {installed.folder}")
    if installed.service:
        say(f"its decisions, on the board: journalctl --user -fu {installed.service}")
    if own.previous:
        say(f"previous version {own.previous}: tinyml device rollback {own.name} {name}")


def list_bundles(name: str, as_json: bool) -> None:
    from tinyml.pipeline.devices.install import installed_bundles

    found = installed_bundles(name)
    if as_json:
        put_json(to_json(found))
        return
    if not found:
        say(f"no bundle is installed on {name}: tinyml device install BUNDLE {name}")
        return
    rows = [(own.name, own.current, own.previous or "-", f"{own.bytes:,}") for own in found]
    put_table(("bundle", "in use", "previous", "bytes"), rows, whole=("in use", "previous"))
