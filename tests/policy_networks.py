"""What three trained networks compute at each stage, and wrong forms of it, for `test_policies`."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyml.core import bundle as bundles
from tinyml.core.quant_params import step
from tinyml.core.spec import Array, Signature, TensorSpec
from tinyml.core.tolerance import LAYERS, POLICIES
from tinyml.export.capture.stage_values import eager_values
from tinyml.export.parity import GENERATED
from tinyml.export.quantization.precision import find_precision
from tinyml.pipeline.outputs import reference

EXAMPLE = Path(__file__).parents[1] / "examples" / "keyword_spotting.py"
CHANNELS = 1


@dataclass(frozen=True, slots=True)
class Values:
    """Stage or output -> its arrays, one a case; ``generated``: on inputs that are no data."""

    real: dict[str, list[Array]]
    generated: dict[str, list[Array]]

    def judged(self, stage: str, precision: str) -> list[Array]:
        """Those that the gate judges: integers only on data."""
        more = [] if find_precision(precision).quantized else self.generated.get(stage, [])
        return [*self.real[stage], *more]


def of_bundle(folder: Path) -> Values:
    """PyTorch's stages and outputs, as the bundle's reference holds them."""
    expected = reference.load(folder / bundles.REFERENCE)
    real: dict[str, list[Array]] = {}
    generated: dict[str, list[Array]] = {}
    for case in expected.inputs:
        into = generated if case in GENERATED else real
        for name, value in {**expected.stages[case], **expected.outputs[case]}.items():
            into.setdefault(name, []).append(value)
    return Values(real, generated)


def of_keywords() -> Values:
    """The keyword spotter of the examples after its training, on four of its words."""
    made = runpy.run_path(str(EXAMPLE))
    network, (audio, _) = made["trained"]().eval(), made["words"](4, seed=2)
    signature = Signature(
        inputs=(TensorSpec("audio", (1, 4000)),), outputs=(TensorSpec("scores", (1, 3)),)
    )
    real: dict[str, list[Array]] = {}
    for row in audio:
        inside, _ = eager_values(
            network, {"audio": row[None]}, signature, ("filters", "block", "scores")
        )
        for stage, value in inside.items():
            real.setdefault(stage, []).append(value)
    return Values(real, {})


def rotated(want: Array, noise: Array) -> Array:
    """The channels one place further, exact otherwise."""
    return np.roll(want, 1, CHANNELS)


def rotated_noisy(want: Array, noise: Array) -> Array:
    """The same with the noise of a layer of this precision."""
    return np.roll(want, 1, CHANNELS) + noise


def with_nan(want: Array, noise: Array) -> Array:
    wrong = want.copy()
    wrong.flat[wrong.size // 2] = np.nan
    return wrong


WRONG: dict[str, Callable[[Array, Array], Array]] = {
    "rotated": rotated,
    "rotated_noisy": rotated_noisy,
    "doubled": lambda want, _: 2 * want,
    "zeroed": lambda want, _: 0 * want,
    "negated": lambda want, _: -want,
    "nan": with_nan,
}


def accepted(values: Values, precision: str, wrong: Callable[[Array, Array], Array]) -> list[str]:
    """Stages where ``precision`` accepts ``wrong`` on every case."""
    policy = POLICIES[find_precision(precision).policy]
    found = []
    for stage in values.real:
        cases = values.judged(stage, precision)
        ends = min(float(v.min()) for v in cases), max(float(v.max()) for v in cases)
        one = step(policy.dtype, *ends) if policy.steps else None
        if all(policy.accepts(wrong(v, _noise(v, precision)), v, one) for v in cases):
            found.append(stage)
    return found


def _noise(want: Array, precision: str) -> Array:
    """Of one layer whose output spans what ``want`` does."""
    bound = POLICIES[find_precision(precision).policy].bound(want)
    normal = np.random.default_rng(want.size).standard_normal(want.shape)
    return np.asarray(normal * bound / LAYERS, want.dtype)
