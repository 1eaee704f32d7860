"""No policy accepts a doubled, zeroed, negated or NaN answer, or one of another shape."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinyml.core.tolerance import POLICIES, PolicyName, largest_error, sqnr_db

WANT = np.random.default_rng(7).standard_normal((3, 50)).astype(np.float32)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_no_policy_accepts_a_wrong_answer(policy: PolicyName, size: float) -> None:
    want = WANT * np.float32(size)
    poisoned = want.copy()
    poisoned[1, 3] = np.nan
    for wrong in (2 * want, 0 * want, -want, poisoned, want[:, :-1], want.T):
        assert not POLICIES[policy].accepts(wrong, want)
    assert POLICIES[policy].accepts(want.copy(), want)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_has_a_reason_and_no_absolute_slack(policy: PolicyName) -> None:
    assert len(POLICIES[policy].because) > 10
    assert POLICIES[policy].atol == 0.0


def test_infinities_are_equal_only_to_themselves() -> None:
    inf = np.array([np.inf, 1.0], np.float32)
    assert largest_error(inf, inf) == 0.0
    assert largest_error(np.array([1.0, 1.0], np.float32), inf) == math.inf
    assert not POLICIES["engine"].accepts(np.array([1.0, 1.0], np.float32), inf)


def test_sqnr_counts_decibels_and_the_worst_is_minus_infinity() -> None:
    want = np.ones(100, np.float32)
    assert sqnr_db(want * np.float32(1.1), want) == pytest.approx(20.0, abs=1e-3)
    assert sqnr_db(want, want) == math.inf
    silence, poisoned = np.zeros(100, np.float32), want.copy()
    poisoned[3] = np.nan
    assert sqnr_db(silence, silence) == math.inf
    assert sqnr_db(want, silence) == -math.inf
    for not_finite in (poisoned, want * np.float32(np.inf)):
        assert sqnr_db(not_finite, want) == sqnr_db(want, not_finite) == -math.inf
        assert sqnr_db(not_finite, not_finite) == -math.inf


def test_on_silence_the_bound_judges_alone() -> None:
    """There is no signal to compare noise with, and a step of noise is no fault of integers."""
    silence = np.zeros(100, np.float32)
    assert POLICIES["int8"].accepts(silence + np.float32(0.1), silence, step=0.1)
    assert not POLICIES["int8"].accepts(silence + np.float32(4.0), silence, step=0.1)
    assert not POLICIES["int8"].accepts(silence + np.float32(0.1), silence)


def test_a_step_of_the_tensor_is_wider_than_that_of_a_quiet_answer() -> None:
    policy, want = POLICIES["int8"], 0.1 * WANT
    own = policy.bound(want)
    assert policy.bound(want, step=0.1) == pytest.approx(3.8)
    noisy = want.copy()
    noisy[0, 0] += 1.05 * np.float32(own)
    assert not policy.accepts(noisy, want)
    assert policy.accepts(noisy, want, step=own / 19)
    for wrong in (2 * want, 0 * want, -want):
        assert not policy.accepts(wrong, want, step=10.0)


def test_rounded_weights_are_allowed_less_than_integers() -> None:
    """Forty layers of them, and three times as much, which only integers may make."""
    random = np.random.default_rng(0)
    want, noise = random.standard_normal((2, 4096)).astype(np.float32)
    layers, more = (np.float32(size) * noise + want for size in (0.05, 0.15))
    assert POLICIES["w8"].accepts(layers, want)
    assert not POLICIES["w8"].accepts(more, want)
    assert POLICIES["int8"].accepts(more, want)
