"""A user's module captured: in the child that made it, or in the process that holds it.

The workspace holds the sample. A generated case that PyTorch itself cannot answer with
finite numbers proves nothing and is left out, and so is a stage whose value is rounding
noise: where float32 and float64 of the same module differ by a good part of what an
engine may, or where a generated case leaves zeros that one rounding more turns into numbers.
An output that hangs on a near tie of topk, sort or argmax is compared with its values at the
places that an engine chose; where these are not known, generated cases leave it out.
The manifest lists all of them.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyml.core.errors import ExportError
from tinyml.core.finite import check_outputs, is_finite
from tinyml.core.parts import OUTPUT, STAGE, Joined, Key, Part, parts_of
from tinyml.core.spec import Array, Arrays, Signature
from tinyml.core.ties import Ties
from tinyml.core.tolerance import POLICIES, PolicyName, largest_error
from tinyml.export import parity
from tinyml.export.adapt import adapted, input_specs, run, signature_of
from tinyml.export.blocks import blocks
from tinyml.export.capture.cancelled_zeros import cancelled_zeros
from tinyml.export.capture.near_ties import undecided
from tinyml.export.capture.program import Captured, with_stages
from tinyml.export.capture.stage_values import eager_values, reference_values
from tinyml.export.joined import joined
from tinyml.export.quantization.precision import find_precision
from tinyml.export.weights import check_weights, load_weights
from tinyml.pipeline.model_sources.captured import capture_or_locate, finish
from tinyml.pipeline.model_sources.check_model import check_kept, check_labels
from tinyml.pipeline.model_sources.metric import predictions
from tinyml.pipeline.model_sources.user_code import explained, make
from tinyml.pipeline.model_sources.workspace import CaptureJob, Workspace
from tinyml.pipeline.outputs.reference import Reference, left_out

SAMPLE_CASE = "sample"
SEED = 0
# An engine rounds about as much as PyTorch does, in another direction.
NOISE_SHARE = 0.25
REFERENCE_BYTES = 64 << 20
# Of one output in one case.
TIES_BYTES = 8 << 20
NOISE = "rounding noise in PyTorch"
# An engine may round to the other side; data, and generated inputs without ties, judge.
TIE = "hangs on a choice between nearly equal numbers"
GOES_ON = f"{TIE}, and is not computed for each chosen place by itself"
Cases = dict[str, dict[str, Array]]


def capture_factory(job: CaptureJob, work: Workspace) -> None:
    """Make the module that ``job`` names, load its weights, and capture it."""
    torch.manual_seed(SEED)
    module = make(job.factory)
    if job.weights:
        load_weights(module, Path(job.weights), job.strip_prefix)
    capture_module(module, job, work)


def capture_module(module: nn.Module, job: CaptureJob, work: Workspace) -> None:
    """Leave in ``work`` what the writers and the gate read; ``module`` is as before after it.

    What ``job`` asks of the module and it does not have is refused before the capture.
    """
    _refuse_device(module)
    sample = work.load_sample()
    specs = input_specs(sample, job.layout)
    with contextlib.ExitStack() as stack:
        exact = _float64(module)
        for version in (module, exact):
            if version is not None:
                stack.enter_context(adapted(version, list(sample), job.layout))
        check_weights(module, "the module")
        with explained("running the module on the sample"):
            signature = signature_of(specs, run(module, sample), job.states)
            stages = blocks(module, {name: array.copy() for name, array in sample.items()})
        check_labels(job.labels, signature)
        check_kept(job.keep_float, stages)
        captured = with_stages(capture_or_locate(module, signature, (), work, sample), stages)
        _refuse_passed_through(captured)
        policy = find_precision(job.precision).policy
        judged = _Judged(module, exact, captured, joined(captured), policy)
        judged.add_cases(sample)
        work.save_reference(judged.reference)
        more = {"signature": signature, "stages": tuple(captured.stages)}
        finish(captured, judged.reference, work, **more, not_judged=judged.left_out)
        if data := work.load_data():
            work.save_predictions(_predictions(module, signature, data))


def _float64(module: nn.Module) -> nn.Module | None:
    """A copy in double precision; ``None`` for a module that cannot be copied."""
    try:
        return copy.deepcopy(module).double()
    except Exception:  # locks, files, generators: whatever a module holds
        return None


def _refuse_device(module: nn.Module) -> None:
    held = {str(t.device) for t in (*module.parameters(), *module.buffers())} - {"cpu"}
    if held:
        raise ExportError(
            f"the module is on {', '.join(sorted(held))}", hint="move it first: module.cpu()"
        )


def _refuse_passed_through(captured: Captured) -> None:
    """One tensor has one name in a file: an output needs a value of its own."""
    inputs = {spec.name for spec in captured.signature.inputs}
    holders: dict[str, str] = {}
    for output, node in captured.outputs.items():
        if node in inputs or node in holders:
            other = holders.get(node, node)
            raise ExportError(
                f"output '{output}' is '{other}' unchanged: one tensor has one name in a file",
                hint="do not return it",
            )
        holders[node] = output


def _predictions(module: nn.Module, signature: Signature, data: Arrays) -> dict[str, Array]:
    """PyTorch's, of the data of the metric."""

    def ask(inputs: Arrays) -> Mapping[str, Array]:
        with explained("running the module on the data"):
            return {name: value.numpy() for name, value in run(module, inputs).items()}

    return predictions(signature, data, ask)


@dataclass(slots=True)
class _Judged:
    """The reference as it grows, and what it leaves out."""

    module: nn.Module
    exact: nn.Module | None
    captured: Captured
    joined: dict[Key, tuple[Joined, ...]] = field(default_factory=dict)
    policy: PolicyName = "engine"
    parts: dict[Key, tuple[Part, ...]] = field(default_factory=dict)
    reference: Reference = field(default_factory=lambda: Reference({}, {}, {}))
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def signature(self) -> Signature:
        return self.captured.signature

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.captured.stages)

    def add_cases(self, sample: Arrays) -> None:
        """The sample, the sample shuffled, the generated cases, within the budget of bytes."""
        cases: Cases = {SAMPLE_CASE: dict(sample), parity.SHUFFLED: _shuffled(sample)}
        cases |= parity.cases(self.signature, SEED, sample)
        left = REFERENCE_BYTES
        inputs, stages, outputs, ties = {}, {}, {}, {}
        for case, given in cases.items():
            found = self._answers(case, given)
            if found is None:
                continue
            inside, returned, known = found
            kept = self._within(case, inside, left)
            left -= sum(value.nbytes for value in kept.values())
            inputs[case], stages[case], outputs[case], ties[case] = given, kept, returned, known
        held = {(STAGE, name) for own in stages.values() for name in own}
        held |= {(OUTPUT, name) for own in outputs.values() for name in own}
        joined = {key: own for key, own in self.joined.items() if key in held}
        ties = {case: own for case, own in ties.items() if own}
        self.reference = Reference(inputs, stages, outputs, joined, ties)

    def _answers(
        self, case: str, given: Arrays
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Ties]] | None:
        """Stages, outputs and what else these may be; ``None`` for a case that is left out."""
        try:
            inside, outputs = reference_values(self.module, given, self.signature, self.stages)
        except Exception as error:  # a generated input may be out of the module's range
            if case == SAMPLE_CASE:
                with explained("running the module on the sample"):
                    raise
            self.left_out[case] = f"PyTorch refuses it: {type(error).__name__}"
            return None
        if case == SAMPLE_CASE:
            check_outputs("PyTorch on the sample", outputs)
        if not all(is_finite(value) for value in outputs.values()):
            self.left_out[case] = "PyTorch's own output is not finite"
            return None
        ties = self._decide(case, given, inside, outputs)
        noise = self._noise(given, inside | _prefixed(outputs), ties)
        if case != SAMPLE_CASE:
            untied = {name: value for name, value in outputs.items() if name not in ties}
            names, returned = cancelled_zeros(self.captured, given, inside, untied)
            noise |= names | {f"{OUTPUT} {name}" for name in returned}
        if not outputs:
            return None
        if case != SAMPLE_CASE and any(name in noise for name in _prefixed(outputs)):
            self.left_out[case] = "PyTorch's own output is rounding noise"
            return None
        self.left_out |= {f"{case}, {name}": NOISE for name in inside if name in noise}
        kept = {name: value for name, value in inside.items() if name not in noise}
        return kept, outputs, ties

    def _decide(
        self, case: str, given: Arrays, inside: dict[str, Array], outputs: dict[str, Array]
    ) -> dict[str, Ties]:
        """What else ``outputs`` may be where they hang on near ties.

        What is not known is not judged on a generated case, and removed here.
        """
        found = undecided(self.captured, given, self.policy)
        known = {
            name: ties
            for name, ties in found.outputs.items()
            if ties is not None and ties.nbytes <= TIES_BYTES
        }
        if case != SAMPLE_CASE:
            for name in sorted(found.stages & inside.keys()):
                del inside[name]
                self.left_out[f"{case}, {name}"] = f"its value {TIE}"
            for name in sorted(found.outputs.keys() - known.keys()):
                del outputs[name]
                self.left_out[left_out(case, name)] = f"it {GOES_ON}"
        return known

    def _noise(
        self, given: Arrays, values: Mapping[str, Array], ties: Mapping[str, Ties]
    ) -> set[str]:
        """Names whose float32 value is about as far from float64 as an engine may be from it.

        What hangs on ``ties`` is compared at the places that float64 chose.
        """
        if self.exact is None:
            return set()
        wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in given.items()}
        try:
            inside, outputs = eager_values(self.exact, wide, self.signature, self.stages)
        except Exception:  # a module may insist on float32
            return set()
        wanted = inside | _prefixed(outputs)
        tied = {f"{OUTPUT} {name}": own for name, own in ties.items()}
        near = {n: own.nearest(wanted[n], values[n], self.policy) for n, own in tied.items()}
        values = {**values, **near}
        for kind, name in list(self.joined):
            value = name if kind == STAGE else f"{OUTPUT} {name}"
            if value in values:
                self._judge_parts((kind, name), values[value], wanted[value])
        return {name for name, value in values.items() if _is_noise(value, wanted[name])}

    def _judge_parts(self, key: Key, got: Array, exact: Array) -> None:
        """Leave out parts that are rounding noise; of the size that the sample, the first, has."""
        parts = self.parts.setdefault(key, parts_of([exact], self.joined[key], split=False))
        if any(_is_noise_in_part(got, exact, part) for part in parts):
            del self.joined[key]
            self.left_out[f"parts of {key[1]}"] = NOISE

    def _within(self, case: str, inside: dict[str, Array], left: int) -> dict[str, Array]:
        """The stages that fit into ``left`` bytes, the outermost first, in their order."""
        kept = set()
        for name in sorted(inside, key=lambda name: name.count(".")):
            if inside[name].nbytes <= left:
                left -= inside[name].nbytes
                kept.add(name)
        if len(kept) < len(inside):
            lost = len(inside) - len(kept)
            self.left_out[f"{case}, {lost} stages"] = "too large for the reference"
        return {name: value for name, value in inside.items() if name in kept}


def _shuffled(sample: Arrays) -> dict[str, Array]:
    """The sample's own values in another order: in the module's range where others may not be."""
    generator = np.random.default_rng(SEED)
    return {n: generator.permutation(a.ravel()).reshape(a.shape) for n, a in sample.items()}


def _prefixed(outputs: Arrays) -> dict[str, Array]:
    return {f"{OUTPUT} {name}": value for name, value in outputs.items()}


def _is_noise(got: Array, exact: Array) -> bool:
    if got.shape != exact.shape or not is_finite(exact):
        return False
    return largest_error(got, exact) > NOISE_SHARE * POLICIES["engine"].bound(exact)


def _is_noise_in_part(got: Array, exact: Array, part: Part) -> bool:
    """As `_is_noise`, of a part of what is joined, which may be small next to the whole."""
    error = largest_error(part.of(got), part.of(exact))
    return error > NOISE_SHARE * POLICIES["engine"].part_bound(exact, part)
