"""The pictures that an export leaves in its bundle, where there is something to see."""

from __future__ import annotations

from pathlib import Path

from tinyml.core.errors import MissingExtraError
from tinyml.core.events import Message, Report
from tinyml.pages.sensitivity_plot import classes_plot, sensitivity_plot
from tinyml.pipeline.quantization.write_quantized import Written

SENSITIVITY, CLASSES = "sensitivity.png", "classes.png"
COLLAPSED = "collapsed_classes"


def draw(written: Written, draft: Path, report: Report) -> None:
    """``sensitivity.png`` where layers were ranked; ``classes.png`` there or on collapse."""
    rules = {name: {own.rule for own in rows} for name, rows in written.findings.items()}
    classes = {
        name: own
        for name, own in written.classes.items()
        if own.samples > 1 and (written.sensitivities or COLLAPSED in rules[name])
    }
    try:
        if written.sensitivities:
            sensitivity_plot(written.sensitivities, draft / SENSITIVITY)
        if classes:
            classes_plot(classes, draft / CLASSES)
    except MissingExtraError as error:
        report(Message(f"no picture: {error.message}; {error.hint}"))
