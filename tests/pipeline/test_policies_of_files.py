"""The policy of each quantized precision on what real files of trained networks compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tinyml import build_bundle
from tinyml.core import bundle as bundles
from tinyml.core import checkpoint
from tinyml.core.export_job import export_job
from tinyml.core.spec import Array
from tinyml.export import parity
from tinyml.pipeline.export import export
from tinyml.pipeline.model_sources.entries import entry_of
from tinyml.pipeline.outputs import reference
from tinyml.pipeline.outputs.engines import Engine, installed

CHANNELS = 1
CHECKPOINTS = Path(__file__).parents[2] / "examples" / "checkpoints"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["w8a8-static", "w8-dynamic", "w8a16", "w8"])
@pytest.mark.parametrize("network", ["funnelnet", "mobilenet"])
def test_rotated_channels_of_a_real_file_are_rejected_at_every_stage(
    small_run: Path, tmp_path: Path, network: str, precision: str
) -> None:
    """With the file's own noise and the steps of its own plan."""
    make = _funnelnet if network == "funnelnet" else _mobilenet
    made = make(small_run, tmp_path / "b", precision)
    assert made.parity.passed
    expected = reference.load(made.folder / bundles.REFERENCE)
    found, _ = installed(made.folder, made.models)
    for engine in found:
        accepted = _accepted(engine, expected, made.stages)
        accepted |= _accepted(engine, expected, None)
        assert not accepted, (engine.name, accepted)


def _funnelnet(run: Path, out: Path, precision: str) -> bundles.Bundle:
    """Both formats, calibrated on what it was trained on."""
    job = export_job(model=str(run), target="rpi", out=out, precision=precision)
    return export(job, lambda event: None)


def _mobilenet(_run: Path, out: Path, precision: str) -> bundles.Bundle:
    """The .tflite of the trained one, on colours of eight by eight pixels, not noise."""
    saved = checkpoint.load(CHECKPOINTS / "sparse-dense.safetensors")
    entry = entry_of(saved)
    network = entry.build(len(saved.processor.labels))
    network.load_state_dict({k: torch.from_numpy(own.copy()) for k, own in saved.weights.items()})
    (spec,) = saved.signature.inputs
    coarse = np.random.default_rng(0).standard_normal((1, 3, 4, 4), np.float32)
    picture = coarse.repeat(8, axis=2).repeat(8, axis=3)
    asked = {"out": out, "precision": precision, "formats": ("tflite",)}
    return build_bundle(network.eval(), {spec.name: picture}, **asked)


def _accepted(
    engine: Engine, expected: reference.Reference, stages: tuple[str, ...] | None
) -> set[str]:
    """Stages, or outputs without any, that pass on every judged case with rotated channels."""
    passed: dict[str, bool] = {}
    session = engine.open()
    for case, inputs in expected.inputs.items():
        if not engine.judges(case, expected.inputs):
            continue
        want = expected.outputs[case] if stages is None else expected.stages[case]
        got = session.run(inputs) if stages is None else engine.stages(inputs)
        for name in stages or want:
            value = got[name]
            if value is None or name not in want:
                continue
            row = _row(engine, name, want[name], np.roll(value, 1, CHANNELS), stages is None)
            passed[name] = passed.get(name, True) and row.verdict == "pass"
    return {name for name, own in passed.items() if own}


def _row(
    engine: Engine, name: str, want: Array, value: Array, is_output: bool
) -> bundles.StageParity:
    policy = engine.policy if is_output else engine.policy_of(name)
    step = engine.step_of(name)
    (row,) = parity.compare(
        engine.name, "rotated", {name: want}, {name: value}, [name], policy, step
    )
    return row
