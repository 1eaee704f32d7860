"""What of TFLite's schema points elsewhere in the file: all that a verifier has to follow.

Table -> slot -> what lies there, in the words of the schema:

    [n]        vector of numbers of n bytes          string   text
    Name       a table                               [Name]   vector of tables
    |Name|     a table of the union ``Name``, whose member is told by the slot before

A table that is not listed holds plain numbers only. Source: ``schema.fbs`` of LiteRT, as
``ai_edge_litert.schema_py_generated`` has it; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping

ROOT = "Model"

TABLES: Mapping[str, Mapping[int, str]] = {
    "Model": {
        1: "[OperatorCode]",
        2: "[SubGraph]",
        3: "string",
        4: "[Buffer]",
        5: "[4]",
        6: "[Metadata]",
        7: "[SignatureDef]",
        8: "[ExternalBufferGroup]",
        9: "[ExternalBuffer]",
    },
    "OperatorCode": {1: "string"},
    "SubGraph": {0: "[Tensor]", 1: "[4]", 2: "[4]", 3: "[Operator]", 4: "string"},
    "Tensor": {
        0: "[4]",
        3: "string",
        4: "QuantizationParameters",
        6: "SparsityParameters",
        7: "[4]",
        9: "[VariantSubType]",
    },
    "VariantSubType": {0: "[4]"},
    "QuantizationParameters": {0: "[4]", 1: "[4]", 2: "[4]", 3: "[8]", 5: "|QuantizationDetails|"},
    "CustomQuantization": {0: "[1]"},
    "BlockwiseQuantization": {3: "[4]"},
    "MultiAxisQuantization": {3: "[4]"},
    "SparsityParameters": {0: "[4]", 1: "[4]", 2: "[DimensionMetadata]"},
    "DimensionMetadata": {3: "|SparseIndexVector|", 5: "|SparseIndexVector|"},
    "Int32Vector": {0: "[4]"},
    "Uint16Vector": {0: "[2]"},
    "Uint8Vector": {0: "[1]"},
    "Operator": {
        1: "[4]",
        2: "[4]",
        4: "|BuiltinOptions|",
        5: "[1]",
        7: "[1]",
        8: "[4]",
        12: "|BuiltinOptions2|",
    },
    "Buffer": {0: "[1]"},
    "ExternalBufferGroup": {0: "string"},
    "ExternalBuffer": {4: "string"},
    "Metadata": {0: "string"},
    "SignatureDef": {0: "[TensorMap]", 1: "[TensorMap]", 2: "string"},
    "TensorMap": {0: "string"},
    # Options of operators.
    "BucketizeOptions": {0: "[4]"},
    "ConcatEmbeddingsOptions": {1: "[4]", 2: "[4]"},
    "FullyConnectedOptions": {5: "[1]"},
    "ReshapeOptions": {0: "[4]"},
    "SqueezeOptions": {0: "[4]"},
    "VarHandleOptions": {0: "string", 1: "string"},
    "StableHLOCompositeOptions": {0: "string", 2: "[1]"},
    "StablehloBroadcastInDimOptions": {0: "[8]"},
    "StablehloCaseOptions": {0: "[4]"},
    "StablehloConvolutionOptions": {
        0: "[8]",
        1: "[8]",
        2: "[8]",
        3: "[8]",
        4: "[1]",
        7: "[8]",
        10: "[8]",
        13: "[8]",
        16: "[4]",
    },
    "StablehloCustomCallOptions": {0: "string", 2: "string", 4: "[4]", 5: "[1]"},
    "StablehloDotGeneralOptions": {0: "[8]", 1: "[8]", 2: "[8]", 3: "[8]", 4: "[4]"},
    "StablehloDynamicSliceOptions": {0: "[8]"},
    "StablehloGatherOptions": {0: "[8]", 1: "[8]", 2: "[8]", 4: "[8]"},
    "StablehloPadOptions": {0: "[8]", 1: "[8]", 2: "[8]"},
    "StablehloReduceOptions": {0: "[8]"},
    "StablehloReduceWindowOptions": {0: "[8]", 1: "[8]", 2: "[8]", 3: "[8]", 4: "[8]"},
    "StablehloScatterOptions": {1: "[8]", 2: "[8]", 3: "[8]"},
    "StablehloSliceOptions": {0: "[8]", 1: "[8]", 2: "[8]"},
    "StablehloTransposeOptions": {0: "[8]"},
}
