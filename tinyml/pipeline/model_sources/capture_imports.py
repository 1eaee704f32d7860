"""What the capture of a user's module imports: a process that imported it forks quickly into one.

It runs none of the user's code.
"""

import torch._dynamo
import torch.export._trace  # noqa: F401 (torch imports both when something is first captured)

import tinyml.export.capture.bisect_module
import tinyml.export.rewrites
import tinyml.pipeline.model_sources.user_capture  # noqa: F401
