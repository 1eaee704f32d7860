"""One use case per file, composed of the other packages; shared parts lie in the packages here.

``model_sources``: where a model comes from (a run, a checkpoint, a module of the user). ``steps``:
the steps of an export. ``quantization``: the steps that quantization adds. ``outputs``: what
runtimes and PyTorch return. ``formats``: the registry's file formats as objects.
"""
