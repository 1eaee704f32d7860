"""Each rewrite of the flatbuffer, its packing, and the runtime that it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fires_in import named
from small_networks import SIGNATURE, STAGES, network
from stored_bytes import unread_bytes

from tinyml.core.spec import Array
from tinyml.export.capture.program import capture
from tinyml.export.formats.tflite import rewrites
from tinyml.export.formats.tflite.rewrites.drop_unused import drop_unused
from tinyml.export.formats.tflite.rewrites.share_buffers import share_buffers
from tinyml.export.formats.tflite.rewrites.strip_metadata import strip_metadata
from tinyml.export.formats.tflite.write import to_tflite
from tinyml.export.parity import cases
from tinyml.export.rewrites import rewrite
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import add_constant, operator_code


@pytest.fixture(scope="module")
def converted() -> bytes:
    """The small network as the converter leaves it."""
    return to_tflite(rewrite(capture(network(), SIGNATURE, STAGES))[0])


def answers(data: bytes) -> dict[str, Array]:
    """Outputs for one random input, without a delegate."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    engine = Interpreter(model_content=data, experimental_op_resolver_type=resolver)
    found: dict[str, Array] = engine.get_signature_runner()(**cases(SIGNATURE, seed=0)["random"])
    return found


@pytest.mark.parametrize("name", named(rewrites.REWRITES, "small"))
def test_a_pass_fires_once_and_the_numbers_hold(name: str, converted: bytes) -> None:
    model = tflite_file.unpack(converted)
    assert rewrites.REWRITES[name](model).count > 0
    again = tflite_file.unpack(tflite_file.pack(model))
    assert rewrites.REWRITES[name](again).count == 0
    before, after = answers(converted), answers(tflite_file.pack(again))
    for output, want in before.items():
        np.testing.assert_array_equal(after[output], want)


def test_unpacking_and_packing_changes_nothing_that_is_computed(converted: bytes) -> None:
    packed = tflite_file.pack(tflite_file.unpack(converted))
    assert tflite_file.pack(tflite_file.unpack(packed)) == packed
    before, after = answers(converted), answers(packed)
    for output, want in before.items():
        np.testing.assert_array_equal(after[output], want)


def test_metadata_is_gone_and_the_signature_is_not(converted: bytes) -> None:
    model = tflite_file.unpack(converted)
    strip_metadata(model)
    assert (model.metadata, model.description) == ([], "")
    assert len(model.signatureDefs) == 1


def test_a_variables_buffer_is_not_shared(converted: bytes) -> None:
    model = tflite_file.unpack(converted)
    share_buffers(model)
    tensors = model.subgraphs[0].tensors
    constant = next(t for t in tensors if model.buffers[t.buffer].data is not None)
    copy = next(t for t in tensors if t is not constant and t.buffer != constant.buffer)
    model.buffers.append(type(model.buffers[0])())
    model.buffers[-1].data = model.buffers[constant.buffer].data.copy()
    copy.buffer, copy.isVariable = len(model.buffers) - 1, True
    share_buffers(model)
    assert copy.buffer != constant.buffer


def test_what_nothing_reads_is_dropped_and_the_numbers_hold(converted: bytes) -> None:
    assert named(rewrites.REWRITES, "unread constant") == ["drop_unused"]
    model = tflite_file.unpack(converted)
    rewrites.rewrite(model)
    clean = tflite_file.pack(model)
    graph = model.subgraphs[0]
    add_constant(model, "unread", np.ones(4096, np.float32))
    operator_code(model, "AVERAGE_POOL_2D")
    # Not only at the end: every index behind it moves.
    graph.tensors.insert(0, graph.tensors.pop())
    _move(model, 1)
    assert sum(unread_bytes(model).values()) == 4 * 4096
    assert drop_unused(model).count == 1
    share_buffers(model)
    assert drop_unused(model).count == 0
    assert unread_bytes(model) == {}
    assert tflite_file.pack(model) == clean
    for output, want in answers(converted).items():
        np.testing.assert_array_equal(answers(clean)[output], want)


def _move(model: Any, by: int) -> None:
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    graph.inputs, graph.outputs = graph.inputs + by, graph.outputs + by
    for operator in graph.operators:
        operator.inputs = np.where(operator.inputs < 0, -1, operator.inputs + by)
        operator.outputs = operator.outputs + by
    for end in (*signature.inputs, *signature.outputs):
        end.tensorIndex += by


def test_nothing_is_dropped_of_a_file_with_several_subgraphs(converted: bytes) -> None:
    model = tflite_file.unpack(converted)
    add_constant(model, "unread", np.ones(4, np.float32))
    model.subgraphs.append(model.subgraphs[0])
    assert drop_unused(model).count == 0
