"""Inputs and outputs that a file takes and gives as integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyml.core.errors import InputError
from tinyml.core.finite import is_finite

# Of activations. int16 is symmetric in both formats: as many steps below zero as above it.
QuantizedType = Literal["int8", "uint8", "int16"]
STEPS: Mapping[str, int] = {"int8": 255, "uint8": 255, "int16": 2 * 32767}


def step(dtype: str, low: float, high: float) -> float:
    """One quantization step of a tensor whose integers span ``low`` to ``high`` and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    width = 2 * max(-low, high) if dtype == "int16" else high - low
    return width / STEPS[dtype]


@dataclass(frozen=True, slots=True)
class QuantParams:
    """An integer stands for ``(integer - zero_point) * scale``."""

    dtype: str
    scale: float
    zero_point: int

    def of(self, real: NDArray[Any]) -> NDArray[Any]:
        """The nearest integers, ties to even; what lies outside of the range is cut off.

        Raises `InputError` for what is not finite: an integer would hide it.
        """
        if not is_finite(real):
            raise InputError(f"an input that becomes {self.dtype} holds NaN or infinite values")
        ends = np.iinfo(self.dtype)
        steps = np.round(real / np.float32(self.scale)) + self.zero_point
        return np.clip(steps, ends.min, ends.max).astype(self.dtype)

    def real(self, integers: NDArray[Any]) -> NDArray[Any]:
        """What ``integers`` stand for, in float32."""
        return (integers.astype(np.float32) - self.zero_point) * np.float32(self.scale)


def quantize_arrays(
    arrays: Mapping[str, NDArray[Any]], io_params: Mapping[str, QuantParams]
) -> dict[str, NDArray[Any]]:
    """``arrays`` with those that ``io_params`` names as integers."""
    return {n: io_params[n].of(own) if n in io_params else own for n, own in arrays.items()}


def dequantize_arrays(
    arrays: Mapping[str, NDArray[Any]], io_params: Mapping[str, QuantParams]
) -> dict[str, NDArray[Any]]:
    """The opposite of `quantize_arrays`."""
    return {n: io_params[n].real(own) if n in io_params else own for n, own in arrays.items()}
