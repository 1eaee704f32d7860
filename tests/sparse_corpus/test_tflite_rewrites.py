"""What lets XNNPACK use sparse kernels in a file: fires, refuses, twice is once, numbers hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fires_in import named
from sparse_network import SAME, VALID, SparseNetwork

from tinyml.core.spec import Array
from tinyml.core.tolerance import POLICIES
from tinyml.export.formats.tflite.cast_weights_to_float16 import cast_weights_to_float16
from tinyml.export.formats.tflite.rewrites import REWRITES
from tinyml.export.formats.tflite.rewrites.average_by_depthwise import average_by_depthwise
from tinyml.export.formats.tflite.rewrites.average_by_mean import average_by_mean
from tinyml.export.formats.tflite.rewrites.pad_explicitly import pad_explicitly
from tinyml.export.formats.tflite.rewrites.store_sparse import store_sparse
from tinyml.export.outcome import Outcome
from tinyml.modelfile import tflite_file
from tinyml.modelfile.tflite_edit import name_of

Build = Callable[[SparseNetwork, str], str]
INT8 = 9
RELU = 1
SIDE, CHANNELS = 13, 16


def sparse_model(
    folder: Path,
    build: Build,
    side: int = SIDE,
    channels: int = CHANNELS,
    *,
    zeros: float = 0.9,
    stored: bool = True,
) -> Any:
    """``build`` on an image, and a pruned 1x1 convolution behind it, ``stored`` sparse or not."""
    network = SparseNetwork(1, side, side, channels)
    end = network.convolution(build(network, network.input), 64, zeros=zeros)
    sparse, dense = network.write(folder, "network", end)
    return tflite_file.unpack((sparse if stored else dense).read_bytes())


def answer(model: Any, *, delegated: bool) -> Array:
    """The output for seeded noise."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    engine = Interpreter(
        model_content=tflite_file.pack(model),
        experimental_op_resolver_type=OpResolverType.AUTO if delegated else plain,
        num_threads=1,
    )
    engine.allocate_tensors()
    (given,) = engine.get_input_details()
    noise = np.random.default_rng(0).standard_normal(given["shape"]).astype(np.float32)
    engine.set_tensor(given["index"], noise)
    engine.invoke()
    found: Array = engine.get_tensor(engine.get_output_details()[0]["index"])
    return found


def copied(model: Any) -> Any:
    return tflite_file.unpack(tflite_file.pack(model))


def assert_fires(rewrite: Callable[[Any], Outcome], model: Any) -> list[str]:
    """It fires once and not again, and the numbers hold; the operators that are left."""
    written = copied(model)
    assert rewrite(written).count == 1
    again = copied(written)
    assert rewrite(again).count == 0
    assert tflite_file.pack(again) == tflite_file.pack(copied(written))
    for delegated in (False, True):
        want, got = answer(model, delegated=delegated), answer(written, delegated=delegated)
        assert POLICIES["engine"].accepts(got, want)
    return [name_of(written, operator) for operator in written.subgraphs[0].operators]


def assert_refuses(rewrite: Callable[[Any], Outcome], model: Any) -> None:
    """The file is as it was, and every operator that might have been rewritten has a reason."""
    outcome = left_alone(rewrite, model)
    assert all(outcome.refused.values())
    assert outcome.refused


def left_alone(rewrite: Callable[[Any], Outcome], model: Any) -> Outcome:
    """What it says of a file that it does not change."""
    kept = copied(model)
    outcome = rewrite(kept)
    assert outcome.count == 0
    assert tflite_file.pack(kept) == tflite_file.pack(copied(model))
    return outcome


def pool(
    n: SparseNetwork,
    x: str,
    window: int,
    stride: int,
    padding: int = VALID,
    activation: int = 0,
) -> str:
    batch, rows, columns, channels = n.shapes[x]
    size = [
        -(-s // stride) if padding == SAME else (s - window) // stride + 1 for s in (rows, columns)
    ]
    told = {"strideH": stride, "strideW": stride, "padding": padding}
    told |= {"filterHeight": window, "filterWidth": window, "fusedActivationFunction": activation}
    return n.add_operator("AVERAGE_POOL_2D", [x], (batch, *size, channels), "Pool2DOptions", **told)


def entry(n: SparseNetwork, x: str) -> str:
    return n.convolution(x, CHANNELS, 3, 2, SAME)


PADDED: dict[str, tuple[Build, int]] = {
    "the entry": (entry, 3),
    "depthwise 3x3": (lambda n, x: n.depthwise(x, 3, 2), CHANNELS),
    "depthwise 5x5": (lambda n, x: n.depthwise(x, 5, 2), CHANNELS),
}


@pytest.mark.parametrize("kind", PADDED)
def test_zeros_on_all_sides_are_written_out(kind: str, tmp_path: Path) -> None:
    build, channels = PADDED[kind]
    left = assert_fires(pad_explicitly, sparse_model(tmp_path, build, SIDE, channels))
    assert left.count("PAD") == 1


def rectangle(folder: Path) -> Any:
    """Alike on all sides along the rows, not along the columns."""
    network = SparseNetwork(1, SIDE, SIDE + 1, CHANNELS)
    end = network.convolution(network.depthwise(network.input, 3, 2), 64, zeros=0.9)
    return tflite_file.unpack(network.write(folder, "network", end)[0].read_bytes())


NOT_PADDED: dict[str, tuple[Build, int, int]] = {
    "an even image": (lambda n, x: n.depthwise(x, 3, 2), SIDE + 1, CHANNELS),
    "no stride": (lambda n, x: n.depthwise(x, 3), SIDE, CHANNELS),
    "stride 3": (lambda n, x: n.depthwise(x, 3, 3), SIDE, CHANNELS),
    "valid": (lambda n, x: n.depthwise(x, 3, 2, VALID), SIDE, CHANNELS),
    "dilated": (lambda n, x: n.depthwise(x, 3, 2, dilation=2), SIDE, CHANNELS),
    "two outputs a channel": (lambda n, x: n.depthwise(x, 3, 2, multiplier=2), SIDE, CHANNELS),
    "7x7": (lambda n, x: n.depthwise(x, 7, 2), SIDE, CHANNELS),
    "an entry of four channels": (entry, SIDE, 4),
    "an entry of 5x5": (lambda n, x: n.convolution(x, CHANNELS, 5, 2, SAME), SIDE, 3),
}


@pytest.mark.parametrize("kind", NOT_PADDED)
def test_other_convolutions_keep_their_padding(kind: str, tmp_path: Path) -> None:
    build, side, channels = NOT_PADDED[kind]
    assert_refuses(pad_explicitly, sparse_model(tmp_path, build, side, channels))


def test_an_image_that_is_even_one_way_keeps_its_padding(tmp_path: Path) -> None:
    assert_refuses(pad_explicitly, rectangle(tmp_path))


def test_an_average_of_the_whole_image_becomes_a_mean(tmp_path: Path) -> None:
    model = sparse_model(tmp_path, lambda n, x: pool(n, x, SIDE, SIDE))
    assert "MEAN" in assert_fires(average_by_mean, model)


NO_MEAN: dict[str, Build] = {
    "a smaller window": lambda n, x: pool(n, x, SIDE - 1, 1),
    "padded": lambda n, x: pool(n, x, SIDE, 1, SAME),
    "an activation": lambda n, x: pool(n, x, SIDE, SIDE, VALID, RELU),
}


@pytest.mark.parametrize("kind", NO_MEAN)
def test_other_poolings_are_no_mean(kind: str, tmp_path: Path) -> None:
    assert_refuses(average_by_mean, sparse_model(tmp_path, NO_MEAN[kind]))


POOLED: dict[str, tuple[Build, int]] = {
    "2x2": (lambda n, x: pool(n, x, 2, 2), 12),
    "3x3": (lambda n, x: pool(n, n.pad(x), 3, 1), 13),
    "3x3, stride 2": (lambda n, x: pool(n, n.pad(x), 3, 2), 12),
    "5x5, stride 2": (lambda n, x: pool(n, n.pad(x, 2), 5, 2), 13),
}


@pytest.mark.parametrize("kind", POOLED)
def test_an_average_of_neighbours_becomes_a_depthwise_convolution(
    kind: str, tmp_path: Path
) -> None:
    build, side = POOLED[kind]
    left = assert_fires(average_by_depthwise, sparse_model(tmp_path, build, side))
    assert left.count("DEPTHWISE_CONV_2D") == left.count("PAD") == 1


NOT_POOLED: dict[str, tuple[Build, int]] = {
    "2x2 on an odd side": (lambda n, x: pool(n, x, 2, 2), 13),
    "2x2, stride 1": (lambda n, x: pool(n, x, 2, 1), 12),
    "4x4": (lambda n, x: pool(n, x, 4, 4), 12),
    "3x3 without padding": (lambda n, x: pool(n, x, 3, 2), 13),
    "3x3, padded by two": (lambda n, x: pool(n, n.pad(x, 2), 3, 2), 13),
    "3x3, stride 3": (lambda n, x: pool(n, n.pad(x), 3, 3), 13),
    "padding that does not count": (lambda n, x: pool(n, x, 3, 1, SAME), 13),
    "an activation": (lambda n, x: pool(n, x, 2, 2, VALID, RELU), 12),
}


@pytest.mark.parametrize("kind", NOT_POOLED)
def test_other_poolings_stay(kind: str, tmp_path: Path) -> None:
    build, side = NOT_POOLED[kind]
    assert_refuses(average_by_depthwise, sparse_model(tmp_path, build, side))


@pytest.mark.parametrize(
    ("rewrite", "window", "side"), [(average_by_mean, SIDE, SIDE), (average_by_depthwise, 2, 12)]
)
def test_nothing_is_said_of_a_maximum(
    rewrite: Callable[[Any], Outcome], window: int, side: int, tmp_path: Path
) -> None:
    model = sparse_model(tmp_path, lambda n, x: n.pool(x, "MAX_POOL_2D", window), side)
    assert left_alone(rewrite, model) == Outcome(0)


FIRES: dict[Callable[[Any], Outcome], tuple[Build, int]] = {
    pad_explicitly: (PADDED["depthwise 3x3"][0], SIDE),
    average_by_mean: (lambda n, x: pool(n, x, SIDE, SIDE), SIDE),
    average_by_depthwise: POOLED["2x2"],
}


def test_every_rewrite_that_names_such_a_network_is_tested_here(tmp_path: Path) -> None:
    assert {own.__name__ for own in FIRES} == set(named(REWRITES, "sparse depthwise"))
    for rewrite, network in FIRES.items():
        assert rewrite(sparse_model(tmp_path, *network)).count > 0


@pytest.mark.parametrize("rewrite", FIRES)
def test_a_file_without_sparse_convolutions_is_left_alone(
    rewrite: Callable[[Any], Outcome], tmp_path: Path
) -> None:
    assert_refuses(rewrite, sparse_model(tmp_path, *FIRES[rewrite], zeros=0.0))


def test_weights_in_half_precision_are_sparse_convolutions_too(tmp_path: Path) -> None:
    """The sparse path computes them, behind a DEQUANTIZE."""
    dense = sparse_model(tmp_path, PADDED["depthwise 3x3"][0], zeros=0.9, stored=False)
    halved, count = cast_weights_to_float16(dense)
    assert (count, pad_explicitly(halved).count) == (2, 0)
    assert store_sparse(halved).count == 1
    assert pad_explicitly(halved).count == 1


@pytest.mark.parametrize("rewrite", FIRES)
def test_integers_are_left_alone(rewrite: Callable[[Any], Outcome], tmp_path: Path) -> None:
    """XNNPACK has no sparse kernels for them: of the operator alone, and of all."""
    model = sparse_model(tmp_path, *FIRES[rewrite])
    graph = model.subgraphs[0]
    graph.tensors[int(graph.inputs[0])].type = INT8
    assert_refuses(rewrite, model)
    for tensor in graph.tensors:
        tensor.type = INT8
    assert_refuses(rewrite, model)
