"""Refuse what is known not to export, with its submodule and its line, before anything is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch.fx import Node

from tinyml.export.capture import failure_location
from tinyml.export.capture.failure_location import FailureLocation
from tinyml.export.capture.known_errors import KnownError, find_cause
from tinyml.export.capture.module_stack import module_stack
from tinyml.export.capture.user_code import from_node

Places = Mapping[str, tuple[str, str]]


def places_of(nodes: Iterable[Node]) -> Places:
    """Node -> (call, class) of the submodule that it is in, before the nodes are tagged."""
    return {node.name: (module_stack(node) or [("", "")])[-1] for node in nodes}


def refuse_known(
    nodes: Iterable[Node], among: Iterable[KnownError], sentence: str, places: Places
) -> None:
    """Raise the `ExportError` for the first of ``nodes`` that is one of ``among``.

    ``sentence`` has ``{}`` for the submodule; ``places`` are of the captured nodes.
    """
    cause = find_cause(list(nodes), among)
    if cause is None:
        return
    name, kind = places.get(_captured_as(cause.node, places), ("", ""))
    kind, where = kind.rpartition(".")[2], from_node(cause.node)
    found = FailureLocation(name, kind, where, cause.reason, cause.fix)
    raise failure_location.refusal(sentence, found, None, cut_short=False)


def _captured_as(node: Node, places: Places) -> str:
    """Its own name, or the one that it was tagged with before it was rewritten."""
    tag = next(iter(node.meta.get("nn_module_stack") or {}), "")
    return tag if tag in places else node.name
