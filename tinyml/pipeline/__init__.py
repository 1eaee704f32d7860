"""One use per file, composed of the package's rooms; what several uses need lies in a room here.

``sources``: the doors that a model comes in by. ``steps``: the steps of an export, in float32.
``integers``: the steps that quantization adds. ``answers``: what is asked of an engine, and
what PyTorch had said. ``comparison``: the parts of ``tinyml compare``.
"""
