"""The parts of ``tinyml compare``: files, promises, latency, and the text of it."""
