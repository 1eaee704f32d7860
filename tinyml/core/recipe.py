"""What is trained, on what, how, and what is made of it: one TOML file.

Unknown keys are refused with their file, line and the nearest key that exists.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from tinyml.core.errors import RecipeError
from tinyml.core.export_settings import QAT, ExportSettings
from tinyml.core.files import canonical_json
from tinyml.core.settings import complete, from_table, settings_of, to_table
from tinyml.core.spec import Options
from tinyml.core.typed_json import check_values, read_limited, to_json

FOLDER = Path(__file__).parents[1] / "recipes"
# Settings of an export that recipes always had: they count in a recipe's id, default or not.
# Formats, which have no default of their own, count as all that there were.
_ALWAYS = ("formats", "precision", "sparse")
_FORMATS = {"formats": ["onnx", "tflite"]}


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """The set's registered name and its options."""

    set: str = "synthetic"
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DecisionRecipe:
    """Window and hop in seconds; 0 takes the model's own."""

    window_s: float = 0.0
    hop_s: float = 0.0
    aggregation: str = "mean"


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """How weights are found; the names are explained in ``docs/training.md``.

    learning_rate    the schedule's peak
    class_weights    one per label; empty weighs all the same
    ema              decay of the averaged weights that are kept; 0 keeps the last ones
    distill_weight   share of the loss that is the teacher's answers (``tinyml prune``)

    For recordings: ``validation_fraction`` of each label's subjects validate, and
    ``threshold_folds`` inner folds, by subject, of the others choose the decision's
    thresholds; 0 takes the most probable label. For images: ``flip`` and ``shift``
    (pixels) augment.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 1e-2
    schedule: str = "one-cycle"
    warm_up_epochs: float = 0.0
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    ema: float = 0.0
    class_weights: tuple[float, ...] = ()
    validation_fraction: float = 0.2
    threshold_folds: int = 3
    flip: bool = False
    shift: int = 0
    distill_weight: float = 0.0
    distill_temperature: float = 4.0


@dataclass(frozen=True, slots=True)
class PruneRecipe:
    """Which weights become zero, and when; an empty ``method`` prunes nothing.

    sparsity     share of zeros at the end, over the layers that are pruned
    block        weights that share one fate: 1, 2 or 4, along ``block_axis`` (the
                 ``output`` or ``input`` channels)
    layers       ``pointwise`` (1x1 convolutions), ``all`` (but the first convolution and
                 the last layer), or a shell pattern of module names; empty takes the
                 method's own
    scope        ``layer`` prunes each to the same share, ``global`` ranks all together
    begin, end   shares of the training steps between which a schedule prunes
    every        steps between two masks of a schedule
    rate         share of the survivors that one round of a lottery prunes
    rewind_step  step of the first training whose weights the survivors return to
    control      ``none``, ``reinit`` (new weights under the same mask), ``random-mask``
    """

    method: str = ""
    sparsity: float = 0.0
    initial: float = 0.0
    block: int = 1
    block_axis: str = "output"
    layers: str = ""
    scope: str = "layer"
    begin: float = 0.1
    end: float = 0.7
    every: int = 100
    rate: float = 0.2
    rewind_step: int = 0
    control: str = "none"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whole of one run; its hash is the run's id."""

    name: str
    model: str
    seed: int = 0
    threads: int = 1
    architecture: Options = field(default_factory=dict)
    data: DataRecipe = field(default_factory=DataRecipe)
    decision: DecisionRecipe = field(default_factory=DecisionRecipe)
    train: TrainRecipe = field(default_factory=TrainRecipe)
    prune: PruneRecipe = field(default_factory=PruneRecipe)
    export: ExportSettings = field(default_factory=ExportSettings)

    @property
    def quantization_aware(self) -> bool:
        """Whether weights are trained to be rounded to eight bits."""
        return self.export.precision == QAT

    @property
    def id(self) -> str:
        """First 16 hex digits of the hash of everything in the recipe.

        Settings of the export count where they are not at their default, so that a recipe
        keeps its id when new ones come.
        """
        data, plain = to_json(self), to_table(complete(ExportSettings()))
        chosen = {**_FORMATS, **to_table(complete(self.export))}
        data["export"] = {
            name: value
            for name, value in chosen.items()
            if name in _ALWAYS or value != plain.get(name)
        }
        return hashlib.sha256(canonical_json(data).encode()).hexdigest()[:16]


def read(path: Path) -> Recipe:
    """Read a recipe file, or a shipped one by name; `RecipeError` names file, line and key."""
    path = _locate(path)
    try:
        text = read_limited(path, error=RecipeError).decode()
        data = tomllib.loads(text)
    except ValueError as error:
        what = "an integer has too many digits" if "digits" in str(error) else error
        raise RecipeError(f"{path}: {what}", hint="a recipe is a TOML file") from error
    except RecursionError as error:
        raise RecipeError(f"{path}: its values are nested too deeply") from error
    data.setdefault("name", path.stem)
    recipe: Recipe = _build(Recipe, data, _Source(str(path), text), "")
    return recipe


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _locate(path: Path) -> Path:
    if path.is_file():
        return path
    inside = FOLDER / f"{path.name.removesuffix('.toml')}.toml"
    if path.parent == Path() and inside.is_file():
        return inside
    raise RecipeError(
        f"no recipe at {path}", hint=f"give a TOML file, or a shipped name: {', '.join(shipped())}"
    )


@dataclass(frozen=True, slots=True)
class _Source:
    file: str
    text: str

    def line(self, section: str, key: str) -> str:
        """``file:line`` of ``key`` in ``[section]``, or of the section itself."""
        current = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            bare = line.strip()
            if bare.startswith("["):
                current = bare.strip("[] ")
                if current == key and not section:
                    return f"{self.file}:{number}"
            elif current == section and bare.partition("=")[0].strip() == key:
                return f"{self.file}:{number}"
        return self.file


def _build(kind: Any, data: Mapping[str, Any], source: _Source, section: str) -> Any:
    if settings_of(kind):
        return from_table(kind, data, lambda key: source.line(section, key))
    known = {f.name: f for f in fields(kind)}
    for key in data:
        if key not in known:
            raise _misspelt(source, section, key, list(known))
    values = {key: _convert(known[key], value, source, section) for key, value in data.items()}
    try:
        return kind(**values)
    except TypeError as error:
        where = f" in [{section}]" if section else ""
        needed = [
            name
            for name, spec in known.items()
            if spec.default is MISSING and spec.default_factory is MISSING and name not in data
        ]
        lacking = " and ".join(f"'{name}'" for name in needed)
        raise RecipeError(
            f"{source.file}: a key is missing{where}: {lacking}", hint=f"write {needed[0]} = ..."
        ) from error


def _convert(spec: Any, value: Any, source: _Source, section: str) -> Any:
    where = source.line(section, spec.name)
    if spec.name in _SECTIONS and not section:
        if not isinstance(value, Mapping):
            raise RecipeError(f"{where}: '{spec.name}' is a section: write [{spec.name}]")
        return _build(_SECTIONS[spec.name], value, source, spec.name)
    check_values({spec.name: value}, what=where, error=RecipeError)
    if spec.name in ("options", "architecture"):
        if not isinstance(value, Mapping):
            raise RecipeError(f"{where}: '{spec.name}' is a table of names and values")
        return dict(value)
    if str(spec.type).startswith("tuple"):
        if not isinstance(value, list | tuple):
            raise RecipeError(f"{where}: '{spec.name}' is a list")
        return tuple(value)
    return _scalar(spec, value, where)


def _scalar(spec: Any, value: Any, where: str) -> Any:
    if not isinstance(value, _SCALARS[spec.type]) or (spec.type == "bool") != isinstance(
        value, bool
    ):
        raise RecipeError(f"{where}: '{spec.name}' is {value!r}, it takes {spec.type}")
    return float(value) if spec.type == "float" and isinstance(value, int | float) else value


def _misspelt(source: _Source, section: str, key: str, known: list[str]) -> RecipeError:
    where = source.line(section, key)
    near = difflib.get_close_matches(key, known, n=1)
    inside = f"[{section}] " if section else ""
    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
    return RecipeError(f"{where}: {inside}has no key '{key}'", hint=hint)


_SCALARS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
}
_SECTIONS: dict[str, Any] = {
    "data": DataRecipe,
    "decision": DecisionRecipe,
    "train": TrainRecipe,
    "prune": PruneRecipe,
    "export": ExportSettings,
}
