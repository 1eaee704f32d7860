"""Description and metadata entries -> nothing.

The converter's ``min_runtime_version`` is not reliable and its other entries are its own
business. A signature stays: it carries the names of inputs and outputs.
"""

from __future__ import annotations

from typing import Any

from tinyml.export.outcome import Outcome

FIRES_IN = "small"


def strip_metadata(model: Any) -> Outcome:
    """Remove entries; their buffers are emptied."""
    entries = model.metadata or []
    for entry in entries:
        model.buffers[entry.buffer].data = None
    removed = len(entries) + bool(model.description)
    model.metadata, model.metadataBuffer, model.description = [], [], ""
    return Outcome(removed)
