"""The pictures that an export leaves in its bundle, where there is something to see."""

from __future__ import annotations

from pathlib import Path

from tinyml.core.errors import MissingExtraError
from tinyml.pages.harm_plot import classes_plot, harm_plot
from tinyml.pipeline.integers.write_integers import Written
from tinyml.pipeline.sources.source import Report

HARM, CLASSES = "harm.png", "classes.png"
COLLAPSED = "collapsed_classes"


def draw(written: Written, draft: Path, report: Report) -> None:
    """``harm.png`` where layers were ranked; ``classes.png`` where classes collapsed or that."""
    rules = {name: {own["rule"] for own in rows} for name, rows in written.findings.items()}
    classes = {
        name: own
        for name, own in written.classes.items()
        if own.samples > 1 and (written.harms or COLLAPSED in rules[name])
    }
    try:
        if written.harms:
            harm_plot(written.harms, draft / HARM)
        if classes:
            classes_plot(classes, draft / CLASSES)
    except MissingExtraError as error:
        report({"text": f"no picture: {error.message}; {error.hint}"})
