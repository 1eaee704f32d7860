"""Whether a runtime's sparse kernels run a model file, and if not, why.

`sparse_use` predicts it from the file alone, by the conditions of the runtime's source:

    versions    runtimes, their versions, and what changed between them: one table
    nodes       a .tflite file's operators as XNNPACK sees them
    conditions  what one node must be (``xnn_check_nchw_compatibility``)
    cluster     what the nodes around it must be (``xnn_subgraph_rewrite_for_nchw``)
    kernels     which kernel a sparse convolution gets, and how much it saves

Function names are those of XNNPACK's source, ``src/subgraph.c``.
"""

from __future__ import annotations

from tinyml.runtimes.sparse_support.sparse_use import LayerVerdict, SparseUse, sparse_use

__all__ = ["LayerVerdict", "SparseUse", "sparse_use"]
