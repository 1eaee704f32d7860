"""Shares of a profile: they add up, and what is not known has none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from profile_sample import sample_profile

from tinyml.core.profile import LayerTime, Profile
from tinyml.core.typed_json import from_json, to_json
from tinyml.pages.profile_words import how


def test_shares_of_time_and_of_macs_add_up_to_one() -> None:
    own = sample_profile()
    for rows in (own.layers, own.modules):
        assert sum(map(own.time_share, rows)) == pytest.approx(1.0)
        assert sum(own.mac_share(row) or 0.0 for row in rows) == pytest.approx(1.0)


def test_operators_of_a_submodule_are_one_row_and_what_is_added_is_the_last() -> None:
    own = sample_profile()
    rows = [(row.name, row.operators, row.ns, row.macs) for row in own.modules]
    assert rows == [
        ("stem", 2, 70_000.0, 100),
        ("head", 1, 20_000.0, 300),
        ("added by onnxruntime", 1, 10_000.0, 0),
    ]
    assert own.time_share(own.modules[0]) == pytest.approx(0.7)
    assert own.mac_share(own.modules[0]) == pytest.approx(0.25)


def test_without_submodules_each_operator_is_a_row() -> None:
    own = sample_profile()
    bare = replace(own, layers=tuple(replace(layer, module="") for layer in own.layers))
    assert [row.name for row in bare.modules] == ["t0", "t1", "t2", "added by onnxruntime"]


def test_a_difference_below_zero_takes_no_time() -> None:
    layers = (LayerTime("a", "", "", -5.0, 1, 7.0), LayerTime("b", "", "", 10.0, 1, 2.0))
    own = sample_profile(layers=layers, method="by difference", profiled_ns=None)
    assert [own.time_share(layer) for layer in layers] == [0.0, 1.0]
    assert own.total_ns == 10.0
    assert [row.error_ns for row in own.modules] == [7.0, 2.0]


def test_what_is_not_known_has_no_share() -> None:
    unknown = sample_profile(layers=(LayerTime("a", "", "", 1.0, None),))
    assert unknown.mac_share(unknown.modules[0]) is None
    none = sample_profile(layers=(LayerTime("a", "", "", 0.0),))
    assert (none.time_share(none.modules[0]), none.mac_share(none.modules[0])) == (0.0, None)


def test_how_much_others_took_of_a_call() -> None:
    own = sample_profile()
    assert own.disturbed_share == 0.0
    busy = replace(own, unprofiled_cpu_ns=20_000.0)
    assert busy.disturbed_share == pytest.approx(0.75)
    assert "other processes took 75% of a call" in how(busy)
    assert "other processes" not in how(replace(own, unprofiled_cpu_ns=79_000.0))
    assert replace(busy, threads=2).disturbed_share == 0.0


def test_a_profile_read_back_is_the_profile() -> None:
    assert from_json(Profile, to_json(sample_profile()), what="it") == sample_profile()
