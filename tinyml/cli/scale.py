"""``tinyml scale``: a budget in, a compact network out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tinyml.cli.terminal import AsJson, put, put_json, say


def command(
    macs: Annotated[
        str | None, typer.Option(help="Multiply-accumulates, 20M to 400M: 57M, 57e6 or 57000000.")
    ] = None,
    params: Annotated[str | None, typer.Option(help="Upper limit of parameters: 2.3M.")] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Side of the image in pixels, fixed.")
    ] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 1000,
    fit: Annotated[
        Path | None,
        typer.Option(help="CSV of measured networks: resolution,depth,width,accuracy[,macs]."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG of the fit; default: the CSV's name with .png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the TinyNet for a budget: resolution, depth and width within 1% of it.

    Counts convolutions and linear layers for one image. With --resolution it shows the nearest
    network at that side, however far. --fit uses the curves of resolution and depth of your own
    measured networks instead of the published ones, and shows how many points outside of the fit
    its band covers.

    Examples:

    \b
      tinyml scale --macs 57M
      tinyml scale --macs 57e6 --params 2.2M --json
      tinyml scale --fit measured.csv --macs 57M
    """
    from tinyml.pipeline.scale import ScaleJob, run

    found = run(ScaleJob(macs, params, resolution, classes, fit, plot))
    if as_json:
        put_json(found)
        return
    if "fit" in found:
        _show_fit(found["fit"])
    if "width" in found:
        _show_network(found)


def _show_fit(fit: dict[str, Any]) -> None:
    from tinyml.pipeline.scale import evidence

    frontier, lowest, highest = fit["frontier"], fit["lowest_macs"], fit["highest_macs"]
    put(
        f"{len(frontier)} of {fit['points']} points on the frontier, "
        f"{lowest / 1e6:.1f} M to {highest / 1e6:.1f} M MACs"
    )
    for name, out_of_fold in fit["out_of_fold"].items():
        put(f"{name}(c) {evidence(out_of_fold)}")
    say(f"written: {fit['plot']}")


def _show_network(found: dict[str, Any]) -> None:
    from tinyml.pipeline.scale import line, recipe_lines

    say(line(found))
    for neighbour in found["neighbours"]:
        say(f"  near: {line(neighbour)}")
    say("a recipe with these lines trains it:")
    put("\n".join(recipe_lines(found)))
