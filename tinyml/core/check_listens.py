"""Can a bundle's model decide about sound in real time?"""

from __future__ import annotations

from tinyml.core.bundle import Bundle
from tinyml.core.errors import InputError
from tinyml.core.recording_processor import recording_processor


def check_listens(bundle: Bundle) -> None:
    """Raise `InputError` unless the model takes pieces of sound."""
    if bundle.processor is None:
        raise InputError(f"{bundle.folder} does not take sound: it declares no sample rate")
    if recording_processor(bundle.processor).whole:
        raise InputError(f"{bundle.model} takes a whole recording at once, and cannot listen")
