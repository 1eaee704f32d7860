"""Every network is slow but the quick ones; converters warn about themselves."""

from __future__ import annotations

import pytest

_THEIRS = (
    # torch 2.13 on its own pytree, raised through copyreg
    r"ignore:`isinstance\(treespec, LeafSpec\)`:FutureWarning",
    # torch.export on the weights of torch's own GRU and LSTM
    r"ignore:The tensor attributes .*_flat_weights:UserWarning",
    # transformers and what it imports, on their own deprecations
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/corpus/" in item.path.as_posix():
            for rule in _THEIRS:
                item.add_marker(pytest.mark.filterwarnings(rule))
