"""Files of an older schema become files of today's: names changed, nothing else.

Bundles, checkpoints and benchmarks share one schema number. Schema 2 has the names of today:

| where | schema 1 | schema 2 |
|---|---|---|
| manifest, checkpoint | `decision` | `processor` |
| manifest, `models` | `twin`, `twin_note` | `instrumented`, `instrumented_note` |
| manifest, `models` | `ends` | `quant_params` |
| manifest, engines | `litert+twin` | `litert+instrumented` |
| manifest, `facts` | `harm`, in it `harms` | `sensitivity`, in it `layers` |
| the same, in dB | `null` | `inf` |
| manifest, `facts.sparse` | `engages` | `uses_sparse_kernels` |
| manifest, findings in `facts` | `cure` | `fix` |

Files of schema 2 that were written before the training record had a fixed form are brought to it
too: `{}` stood for no record or plan, `auc_<label>` for `auc_worst_label`, `cure` for `fix`. In
benchmarks, `loadavg: [X, Y]` of a process stood for the `load` of `before` and `after`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyml.core.errors import InputError, TinymlError

SCHEMA = 2
# Facts that hold findings, with how to fix them.
_FOUND = {"lint", "delegation", "sparse"}
_ENGINE = ("+twin", "+instrumented")
_SPARSE = {"engages": "uses_sparse_kernels"}
_AUC = "auc_worst_label"
_FINDING = {"cure": "fix"}
_AROUND = ("before", "after")
_FILE = {"decision": "processor"}
_MODEL = {"twin": "instrumented", "twin_note": "instrumented_note", "ends": "quant_params"}


def upgraded(
    data: Any, *, what: str, error: type[TinymlError] = InputError, unnumbered: int = 0
) -> Any:
    """JSON values of schema `SCHEMA`, made from those of that or an older one.

    Raises ``error`` for a newer schema, and for none where ``unnumbered`` does not stand for it.
    Values that are not of the form of schema 1 stay as they are, for the converter to refuse.
    """
    schema = data.get("schema", unnumbered) if isinstance(data, dict) else None
    if type(schema) is not int or schema < 1:
        raise error(f"{what} has no schema number: tinyml did not write it")
    if schema > SCHEMA:
        raise error(
            f"{what} has schema {schema}, this tinyml reads up to {SCHEMA}", hint="upgrade tinyml"
        )
    return _with_record(_from_1(data) if schema == 1 else data)


def upgraded_text(text: str) -> str:
    """Text that names engines, as a model card does, with today's names."""
    return text.replace(*_ENGINE)


def _from_1(data: Mapping[str, Any]) -> dict[str, Any]:
    made = _renamed(data, _FILE)
    if isinstance(models := made.get("models"), list):
        made["models"] = [_renamed(model, _MODEL) for model in models]
    if isinstance(parity := made.get("parity"), dict) and isinstance(parity.get("stages"), list):
        made["parity"] = {**parity, "stages": [_engine_renamed(row) for row in parity["stages"]]}
    if isinstance(facts := made.get("facts"), dict) and isinstance(facts.get("harm"), dict):
        sensitivity = {fmt: _sensitivity(own) for fmt, own in facts["harm"].items()}
        made["facts"] = {**_renamed(facts, {"harm": "sensitivity"}), "sensitivity": sensitivity}
    if isinstance(facts := made.get("facts"), dict) and isinstance(facts.get("sparse"), dict):
        sparse = {path: _renamed(own, _SPARSE) for path, own in facts["sparse"].items()}
        made["facts"] = {**facts, "sparse": sparse}
    return {**made, "schema": SCHEMA}


def _with_record(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A checkpoint's facts, those of a bundle, and a benchmark, as their dataclasses have them."""
    if isinstance(measurements := data.get("measurements"), list):
        data = {**data, "measurements": [_measurement(own) for own in measurements]}
    facts = data.get("facts")
    if not isinstance(facts, dict):
        return data
    if "models" not in data:
        return {**data, "facts": _record(facts)}
    models = data["models"]
    if isinstance(models, list):
        models = [_without_empty_plan(model) for model in models]
    found = {name: _renamed_within(facts[name], _FINDING) for name in _FOUND & facts.keys()}
    facts = {**facts, **found, "training": _record(facts.get("training"))}
    return {**data, "models": models, "facts": facts}


def _measurement(found: Any) -> Any:
    if not isinstance(found, dict) or not isinstance(found.get("processes"), list):
        return found
    return {**found, "processes": [_process(own) for own in found["processes"]]}


def _process(found: Any) -> Any:
    loads = found.get("loadavg") if isinstance(found, dict) else None
    if not isinstance(loads, list) or len(loads) != len(_AROUND):
        return found
    return {**found, **{name: {"load": load} for name, load in zip(_AROUND, loads, strict=True)}}


def _without_empty_plan(model: Any) -> Any:
    is_empty = isinstance(model, dict) and model.get("plan") == {}
    return {**model, "plan": None} if is_empty else model


def _record(facts: Any) -> Any:
    if not isinstance(facts, dict):
        return facts
    if "validation" in facts:
        facts = {**facts, "validation": _metrics(facts["validation"])}
    return facts or None


def upgraded_folds(data: Any) -> Any:
    """JSON values of ``folds.json``, which has no schema number, with today's metrics."""
    if not isinstance(data, dict):
        return data
    folds = data.get("folds")
    own = [_metrics(fold) for fold in folds] if isinstance(folds, list) else folds
    return {**data, "pooled": _metrics(data.get("pooled")), "folds": own}


def _metrics(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    return _renamed(found, {name: _AUC for name in found if name.startswith("auc_")})


def _sensitivity(found: Any) -> Any:
    """Of one format; ``null`` stood for the very same outputs."""
    if not isinstance(found, dict) or not isinstance(found.get("harms"), list):
        return found
    layers = [_exact(own) for own in found["harms"]]
    return _exact({**_renamed(found, {"harms": "layers"}), "layers": layers})


def _exact(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    return {k: "inf" if v is None and k.endswith("_db") else v for k, v in found.items()}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {names.get(name, name): own for name, own in value.items()}


def _renamed_within(value: Any, names: Mapping[str, str]) -> Any:
    """`_renamed` at every depth."""
    if isinstance(value, list):
        return [_renamed_within(own, names) for own in value]
    if not isinstance(value, dict):
        return value
    return {name: _renamed_within(own, names) for name, own in _renamed(value, names).items()}


def _engine_renamed(row: Any) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get("engine"), str):
        return row
    return {**row, "engine": upgraded_text(row["engine"])}
