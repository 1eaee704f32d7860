"""Weights without their zeros: encoded, stored, read back, and the runtime's same answers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fires_in import named
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_networks import (
    FP16,
    INT8,
    Answers,
    answers,
    converted,
    eight_bits,
    halved,
    pointwise,
)

from tinyml.core.errors import InputError
from tinyml.core.spec import Array
from tinyml.export.formats.tflite import rewrites
from tinyml.export.formats.tflite.rewrites.share_buffers import share_buffers
from tinyml.export.formats.tflite.rewrites.store_sparse import store_sparse
from tinyml.modelfile import sparse_encoding, sparse_storage, tflite_file
from tinyml.pipeline.inspect import inspect_file


def masked(rows: int, columns: int, block: int, kept: float, seed: int) -> Array:
    """Random values, zero in whole blocks of output channels."""
    random = np.random.default_rng(seed)
    mask = np.repeat(random.random((rows // block, columns)) < kept, block, axis=0)
    return np.asarray(np.where(mask, random.uniform(0.5, 1, mask.shape), 0), np.float32)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 70),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.sampled_from([np.float32, np.float16, np.int8]),
    st.booleans(),
    st.integers(0, 99),
)
def test_what_is_encoded_reads_back_with_its_zeros(
    blocks: int, columns: int, block: int, kept: float, kind: type, flat: bool, seed: int
) -> None:
    weight = (masked(blocks * block, columns, block, kept, seed) * 9).astype(kind)
    weight = weight if flat else weight[:, None, None, :]
    encoded = sparse_encoding.encode(weight)
    model, tensor = _model_of(encoded)
    facts = sparse_storage.describe(Path("x"), model, tensor)
    np.testing.assert_array_equal(sparse_storage.dense(Path("x"), model, tensor), weight)
    assert facts.stored_bytes == encoded.size_bytes
    assert facts.dense_bytes == weight.nbytes
    assert facts.block == (encoded.block, *[1] * (weight.ndim - 1))
    assert encoded.block >= block


def test_the_largest_block_is_taken_and_a_broken_one_is_none() -> None:
    weight = masked(16, 40, 4, 0.3, 0)
    assert sparse_encoding.block_of(weight) == 4
    assert sparse_encoding.block_of(masked(16, 40, 2, 0.3, 0)) == 2
    assert sparse_encoding.block_of(masked(18, 40, 2, 0.3, 0)) == 2
    weight[np.nonzero(weight)[0][0], np.nonzero(weight)[1][0]] = 0
    assert sparse_encoding.block_of(weight) == 1


def test_indices_take_the_narrowest_type_that_holds_them() -> None:
    kinds = [sparse_encoding.narrowest(np.array([0, top])).dtype for top in (255, 256, 65536)]
    assert kinds == [np.uint8, np.uint16, np.int32]


def test_a_spatial_weight_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="is not a matrix"):
        sparse_encoding.encode(np.zeros((4, 3, 3, 8), np.float32))


@pytest.mark.parametrize("block", [1, 2, 4])
def test_it_fires_once_the_file_is_smaller_and_every_bit_stays(block: int) -> None:
    dense = converted(pointwise(block=block))
    model = tflite_file.unpack(dense)
    assert store_sparse(model).count == 3
    assert store_sparse(model).count == 0
    share_buffers(model)
    sparse = tflite_file.pack(model)
    assert len(sparse) < 0.5 * len(dense)
    assert store_sparse(tflite_file.unpack(sparse)).count == 0
    want, got = answers(dense), answers(sparse)
    np.testing.assert_array_equal(got.plain, want.plain)
    np.testing.assert_array_equal(got.delegated, want.delegated)
    found = list(sparse_storage.sparse_tensors(tflite_file.unpack(sparse)))
    assert [sparse_storage.describe(Path("x"), model, t).block[0] for t in found] == [block] * 3


@pytest.mark.parametrize(("stored", "kind"), [(halved, FP16), (eight_bits, INT8)])
def test_shorter_weights_keep_their_dequantize_behind_the_densify(
    stored: Callable[[bytes], bytes], kind: int
) -> None:
    dense = stored(converted(pointwise(block=1)))
    model = tflite_file.unpack(dense)
    assert store_sparse(model).count == 3
    share_buffers(model)
    sparse = tflite_file.pack(model)
    assert len(sparse) < 0.6 * len(dense)
    assert {t.type for t in sparse_storage.sparse_tensors(tflite_file.unpack(sparse))} == {kind}
    _same(answers(dense), answers(sparse))


def test_a_weight_without_enough_zeros_is_left_alone() -> None:
    assert store_sparse(tflite_file.unpack(converted(pointwise(kept=0.9)))).count == 0
    assert store_sparse(tflite_file.unpack(converted(pointwise(channels=2)))).count == 0


def test_a_weight_that_something_else_reads_is_left_alone() -> None:
    model = tflite_file.unpack(converted(pointwise()))
    graph = model.subgraphs[0]
    weight = next(
        int(operator.inputs[1])
        for operator in graph.operators
        if tflite_file.operator_name(model.operatorCodes[operator.opcodeIndex]) == "CONV_2D"
        and graph.tensors[int(operator.inputs[1])].shape[1] == 1
    )
    given_out = copy.deepcopy(model)
    given_out.subgraphs[0].outputs = np.array([*graph.outputs, weight], np.int32)
    assert store_sparse(given_out).count == 2
    other = copy.deepcopy(model)
    last = other.subgraphs[0].operators[-1]
    last.inputs = np.array([*last.inputs[:2], weight], np.int32)  # as a bias
    assert store_sparse(other).count == 2
    variable = copy.deepcopy(model)
    variable.subgraphs[0].tensors[weight].isVariable = True
    assert store_sparse(variable).count == 2


def test_the_pass_can_be_left_out() -> None:
    assert named(rewrites.REWRITES, "pointwise") == ["store_sparse"]
    model = tflite_file.unpack(converted(pointwise()))
    assert "store_sparse" not in rewrites.rewrite(copy.deepcopy(model), sparse=False)
    assert rewrites.rewrite(model)["store_sparse"] == 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: t.sparsity.dimMetadata[3].arrayIndices.values.fill(200), "index outside"),
        (lambda t: t.sparsity.dimMetadata[3].arraySegments.values.fill(9), "segments"),
        (lambda t: setattr(t.sparsity, "traversalOrder", np.array([0, 0, 1, 2])), "each dimension"),
        (lambda t: setattr(t.sparsity, "blockMap", np.array([7])), "each dimension once"),
        (lambda t: setattr(t.sparsity.dimMetadata[0], "denseSize", 1 << 30), "1073741824"),
        (lambda t: setattr(t.sparsity.dimMetadata[0], "format", 7), "unknown format 7"),
        (lambda t: setattr(t, "shape", np.array([1 << 20, 1, 1, 1 << 20])), "not 1048576"),
        (lambda t: setattr(t, "shape", np.array([0, 1, 1, 64])), "shape"),
        (lambda t: setattr(t, "type", 99), "without a size"),
        (lambda t: t.sparsity.dimMetadata.pop(), "each dimension once"),
    ],
)
def test_a_description_that_is_not_sound_is_refused(spoil: object, said: str) -> None:
    model, tensor = _model_of(sparse_encoding.encode(masked(32, 64, 1, 0.1, 0)[:, None, None]))
    spoil(tensor)  # type: ignore[operator]
    with pytest.raises(InputError, match=said):
        sparse_storage.dense(Path("x.tflite"), model, tensor)


def test_values_that_are_missing_are_refused() -> None:
    model, tensor = _model_of(sparse_encoding.encode(masked(32, 64, 1, 0.1, 0)))
    model.buffers[0].data = model.buffers[0].data[:-4]
    with pytest.raises(InputError, match="describes"):
        sparse_storage.describe(Path("x.tflite"), model, tensor)


def test_another_order_than_ours_is_read_too() -> None:
    """Columns outside, rows compressed, blocks of 2 x 2: [[a b 0 0] [c d 0 0]], transposed."""
    weight = np.array([[1, 2, 0, 0], [3, 4, 0, 0]], np.float32)
    model, tensor = _model_of(sparse_encoding.encode(weight))
    dense, compressed = tensor.sparsity.dimMetadata[0], tensor.sparsity.dimMetadata[-2]
    two = copy.copy(dense)
    two.denseSize = 2
    compressed.arraySegments.values = np.array([0, 1, 1], np.uint8)
    compressed.arrayIndices.values = np.array([0], np.uint8)
    tensor.sparsity.traversalOrder = np.array([1, 0, 3, 2])
    tensor.sparsity.blockMap = np.array([0, 1])
    tensor.sparsity.dimMetadata = [two, compressed, two, two]
    model.buffers[0].data = np.array([1, 3, 2, 4], np.float32).view(np.uint8)
    np.testing.assert_array_equal(sparse_storage.dense(Path("x"), model, tensor), weight)
    assert sparse_storage.describe(Path("x"), model, tensor).block == (2, 2)


def _model_of(encoded: sparse_encoding.SparseWeight) -> tuple[object, object]:
    from ai_edge_litert import schema_py_generated as schema

    names = {"float32": 0, "float16": 1, "int8": 9}
    tensor, buffer, model = schema.TensorT(), schema.BufferT(), schema.ModelT()
    tensor.name, tensor.buffer = "w", 0
    tensor.type = names[str(encoded.values.dtype)]
    tensor.shape = np.array(encoded.shape, np.int32)
    tensor.sparsity = sparse_encoding.parameters(encoded)
    buffer.data = encoded.values.view(np.uint8)
    model.buffers = [buffer]
    return model, tensor


def _same(want: Answers, got: Answers) -> None:
    np.testing.assert_array_equal(got.plain, want.plain)
    np.testing.assert_array_equal(got.delegated, want.delegated)


def test_inspection_shows_what_is_stored_sparse_and_lint_sees_its_zeros(tmp_path: Path) -> None:
    model = tflite_file.unpack(converted(pointwise(block=2)))
    rewrites.rewrite(model)
    path = tmp_path / "sparse.tflite"
    path.write_bytes(tflite_file.pack(model))
    dense = tmp_path / "dense.tflite"
    dense.write_bytes(converted(pointwise(block=2)))
    found, before = inspect_file(path), inspect_file(dense)
    weights = found["sparse_weights"]
    assert [weight["block"] for weight in weights] == [[2, 1], [2, 1, 1, 1], [2, 1, 1, 1]]
    assert all(weight["sparsity"] > 0.85 for weight in weights)
    assert before["sparse_weights"] == []
    for key in ("macs", "parameters", "largest_activation_bytes"):
        assert found[key] == before[key]
    rules = [{row["rule"] for row in each["lint"]} for each in (found, before)]
    assert "pruned_but_dense" not in rules[0]
    assert "large_constants" not in rules[0]
    assert "pruned_but_dense" in rules[1]


def test_buffers_behind_the_flatbuffer_are_read(tmp_path: Path) -> None:
    """As ai-edge-quantizer writes them, and none that would lie behind the file."""
    model = tflite_file.unpack(converted(pointwise()))
    rewrites.rewrite(model)
    whole, path = tflite_file.pack(model), tmp_path / "behind.tflite"
    path.write_bytes(whole)
    want = sparse_storage.read_sparse(path)
    for buffer in model.buffers[1:]:
        buffer.offset, buffer.size = 1 << 20, len(buffer.data)
    behind, offset = b"", -(-len(tflite_file.pack(model)) // 16) * 16
    for buffer in model.buffers[1:]:
        buffer.offset = offset + len(behind)
        behind += bytes(buffer.data) + bytes(-len(buffer.data) % 16)
        buffer.data = None
    head = tflite_file.pack(model)
    path.write_bytes(head + bytes(offset - len(head)) + behind)
    assert sparse_storage.read_sparse(path) == want
    path.write_bytes(head)
    with pytest.raises(InputError, match="not a whole TFLite file"):
        sparse_storage.read_sparse(path)
