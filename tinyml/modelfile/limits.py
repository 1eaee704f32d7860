"""How large a model file of a stranger's may claim to be: every limit of the readers."""

from __future__ import annotations

MEBIBYTE = 1 << 20

# Protobuf counts in 31 bits.
LARGEST_MESSAGE = (1 << 31) - 1
# As flatbuffers' own verifier, through which LiteRT reads.
MOST_TABLES = 1_000_000
# What a file's offsets may lead to, counted each time: more is many pointers to one place.
VISITED_PER_BYTE = 8
VISITED_LEAST = MEBIBYTE
# A dense tensor larger than this is a claim of the file, not a weight; and so are all
# weights that it stores sparse together.
LARGEST_ELEMENTS = 1 << 26
LARGEST_SPARSE = 1 << 28
# Nodes of an ONNX graph with its functions written out.
MOST_NODES = 1_000_000
# Fields of an ONNX model, message by message; messages, or functions, within each other.
MOST_FIELDS = 2_000_000
DEEPEST = 64
