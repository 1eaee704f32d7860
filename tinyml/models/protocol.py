"""What a model offers to training, pruning, export and ``tinyml models``.

A model is one file with two things.

**An entry** (`ModelEntry`), named by a row of ``MODELS`` in ``tinyml/core/registry.py``. It is
read before any weight exists:

    name, paper, summary   ``tinyml models``
    signature, processor   export and prediction: the inputs, the outputs, and what is computed
                           around the network; an `ImageProcessor` makes it a model of
                           images, a `RecordingProcessor` one of recordings
    build                  training and export: the module in its initial state
    stages, front_end      parity (the outputs that are compared), cost, quantization
    sparsity               pruning, for a sparse preset
    options, configure     [architecture] of a recipe
    rename                 weights of another library
    streaming              ``tinyml export --streaming``: the module as graphs that run on a stream

**A module**, which ``entry.build(classes)`` returns: a `torch.nn.Module` that is a `Classifier`,
and for recordings a `RecordingClassifier`. Nothing else of it is used: no base class is needed,
and any submodule may be pruned or quantized. What it costs is counted from its layers
(`tinyml.models.cost`), not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tinyml.core.bundle_facts import Scalogram
from tinyml.core.errors import RecipeError
from tinyml.core.image_processor import ImageProcessor
from tinyml.core.processor import Processor
from tinyml.core.spec import Options, Signature
from tinyml.core.streaming import Streaming

if TYPE_CHECKING:
    from torch import Tensor, nn


class Module(Protocol):
    """The methods of `torch.nn.Module` that training uses."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...


class Classifier(Module, Protocol):
    """What every module offers."""

    def classify(self, inputs: Tensor, /) -> Tensor:
        """``inputs`` [batch, ...] -> logits [batch, classes]: all that is trained.

        Of images, ``inputs`` are normalised pixels [batch, channels, side, side]; of
        recordings, what `RecordingClassifier.features` returns.
        """

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """The inputs of the entry's signature by name -> its outputs by name, with batch 1.

        This is ``forward`` and what is exported; the probabilities are ``probabilities``.
        """


class RecordingClassifier(Classifier, Protocol):
    """What a module of recordings offers too."""

    def features(self, waveform: Tensor, /) -> Tensor:
        """Windows [batch, samples] -> features [batch, ...], without anything that is trained.

        Training computes them once for each window, so they may not depend on a parameter.
        """

    def fit_statistics(self, features: Tensor, /) -> None:
        """Set buffers, such as a mean, from the features of the training windows alone."""


CLASSIFIER = ("classify", "forward")
RECORDING_CLASSIFIER = (*CLASSIFIER, "features", "fit_statistics")


def check_module(entry: ModelEntry, module: Any) -> None:
    """Raise `TypeError` naming what ``module`` lacks to be what ``entry`` declares."""
    images = isinstance(entry.processor, ImageProcessor)
    methods = CLASSIFIER if images else RECORDING_CLASSIFIER
    lacking = [f"{name}()" for name in methods if not callable(getattr(module, name, None))]
    submodules = dict(module.named_modules())
    lacking += [f"the stage '{name}'" for name in entry.stages if name not in submodules]
    if entry.front_end is not None and entry.front_end not in entry.stages:
        lacking.append(f"the front end '{entry.front_end}' among its stages")
    if lacking:
        raise TypeError(
            f"the module of model '{entry.name}' lacks {', '.join(lacking)} "
            "(see tinyml/models/protocol.py)"
        )


@dataclass(frozen=True, slots=True)
class LayerSparsity:
    """What a preset asks of some layers: ``share`` of their weights zero, in blocks.

    ``layers`` is a shell pattern of module names; ``block`` counts the output channels
    that share their zeros. The first that matches a layer holds for it.
    """

    layers: str
    share: float
    block: int = 1


@dataclass(frozen=True, slots=True)
class StreamingGraph:
    """A module, its inputs and outputs, and its stages: as of an entry."""

    module: Any
    signature: Signature
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamingForm:
    """A module of recordings as two graphs that share its weights.

    streaming  how they run, and what goes in and out (see `Streaming`)
    frames     windows [n, samples] -> what the head takes of each [n, ring_frames, scales]
    """

    streaming: Streaming
    front_end: StreamingGraph
    head: StreamingGraph
    frames: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """What the registry knows of one model of this package.

    signature   number of classes -> inputs and outputs
    processor   what is computed around the network; its labels are the default classes
    build       number of classes -> the module in its initial state (see above)
    stages      submodules, in order, whose outputs parity compares
    front_end   the last stage of the fixed front end, if there is one
    scalogram   how to draw one of the stages
    domain      chooses the words of the model card
    configure   options -> the entry with a recipe's [architecture], which `configured` calls
    sparsity    what a sparse preset asks of its layers; others stay dense
    options     what [architecture] may choose, with the values that it has here
    rename      names of another library's weights -> this model's, or empty
    streaming   module -> its graphs for a stream; ``None``: it has no such form
    """

    name: str
    paper: str
    summary: str
    signature: Callable[[int], Signature]
    processor: Processor
    build: Callable[[int], Any]
    stages: tuple[str, ...]
    front_end: str | None = None
    scalogram: Scalogram | None = None
    domain: str = "other"
    configure: Callable[[Options], ModelEntry] | None = None
    sparsity: tuple[LayerSparsity, ...] = ()
    options: Options = field(default_factory=dict)
    rename: Callable[[Iterable[str]], Mapping[str, str]] | None = None
    streaming: Callable[[Any], StreamingForm] | None = None

    def configured(self, options: Options) -> ModelEntry:
        """This entry with ``options`` of its architecture; `RecipeError` if it has none."""
        if not options:
            return self
        if self.configure is None:
            raise RecipeError(f"model '{self.name}' has no [architecture] to choose")
        return self.configure(options)
