"""Recipes that train in seconds, of the tests and of the runs that are killed."""

from __future__ import annotations

SOUNDS = """\
model = "funnelnet"
seed = 3

[data]
set = "synthetic"
options = { persons = 18, recordings = 1, seconds = 9.0 }

[train]
epochs = 2
threshold_folds = 0
"""

IMAGES = """\
model = "mobilenet-v1"
seed = 3

[architecture]
width = 0.25
resolution = 32
stem_stride = 1

[data]
set = "shapes"
options = { limit = 24, test_limit = 6 }

[train]
epochs = 2
batch_size = 32
flip = true
shift = 2
"""
