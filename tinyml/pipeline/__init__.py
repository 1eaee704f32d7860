"""One use case per file, composed of the other packages; shared parts lie in the packages here.

``sources``: the model sources (a run, a checkpoint, a module of the user). ``steps``: the steps
of an export. ``quantization``: the steps that quantization adds. ``answers``: outputs of runtimes
and of PyTorch.
"""
