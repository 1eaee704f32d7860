"""``Conv(x, w, 0)`` -> ``Conv(x, w)``, and the same of ConvTranspose: onnxscript's rules.

PyTorch writes a vector of zeros for ``bias=False``. Refused for a bias that is not a constant
or has a value other than zero. The rules put a new node in place of the old one, with a new output
of the same name and the old one's metadata.
"""

from __future__ import annotations

import onnx_ir as ir

from tinyml.export.outcome import Outcome

FIRES_IN = "small"


def drop_zero_bias(model: ir.Model) -> Outcome:
    """Return the number of biases removed, and why the others were not."""
    from onnxscript.rewriter import MatchingTracer, MatchStatus, RewriteRuleSet
    from onnxscript.rewriter.rules import common

    kinds = [
        common.remove_optional_bias_from_conv_rule,
        common.remove_optional_bias_from_conv_transpose_rule,
    ]
    rules = RewriteRuleSet(kinds)
    count = rules.apply_to_model(model)
    left = MatchingTracer()
    rules.apply_to_model(model, tracer=left)  # changes nothing: it looks at what is left
    refused = {
        str(match.root_node.outputs[0].name): str(match.match_result.reason)
        for matches in left.best_matches_map.values()
        for match in matches
        if match.status is MatchStatus.CONDITION_FAILED
    }
    return Outcome(count, refused)
