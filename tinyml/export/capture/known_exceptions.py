"""What torch.export cannot capture, and how to write it otherwise.

A cause is found by the class of the exception, its fields, and the user's own expression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from tinyml.export.capture.user_code import UserLine, functions_of


@dataclass(frozen=True, slots=True)
class KnownException:
    """``reason``: a sentence about the user's expression, which is ``{}`` in it."""

    fits: Callable[[Exception, UserLine], bool]
    reason: str
    fix: str


def find_exception(error: Exception, line: UserLine) -> KnownException | None:
    """The first that is known of ``error``, raised at ``line`` of the user; ``None``: none is."""
    return next((known for known in KNOWN_EXCEPTIONS if known.fits(error, line)), None)


def _counts_classes(error: Exception, line: UserLine) -> bool:
    call = line.call
    if call is None or line.called != "one_hot" or not _asks_number(error):
        return False
    return len(call.args) < 2 and not any(own.arg == "num_classes" for own in call.keywords)


def _leaves_for_numpy(error: Exception, line: UserLine) -> bool:
    # torch raises a plain RuntimeError for both: the call itself, or numpy's own of a tensor
    return type(error) is RuntimeError and (
        line.called == "numpy" or "__array__" in functions_of(error)
    )


def _copies_values(error: Exception, line: UserLine) -> bool:
    return type(error) is RuntimeError and line.called in ("tensor", "as_tensor")


def _decides(error: Exception, _: UserLine) -> bool:
    """Python asks for a bool: a condition, or a function of torch that returns one."""
    if isinstance(error, GuardOnDataDependentSymNode):
        return not _asks_number(error)
    return isinstance(error, DataDependentOutputException)


def _takes_number(error: Exception, _: UserLine) -> bool:
    return _asks_number(error)


def _asks_number(error: Exception) -> bool:
    if not isinstance(error, GuardOnDataDependentSymNode):
        return False
    return not (error.cond.is_Relational or error.cond.is_Boolean)


ONE_HOT = KnownException(
    _counts_classes,
    "{} counts the classes in its values",
    "name their number: one_hot(x, num_classes=N)",
)
NUMPY = KnownException(
    _leaves_for_numpy,
    "{} leaves PyTorch for NumPy",
    "call torch's functions instead of NumPy's",
)
COPY = KnownException(
    _copies_values,
    "{} copies values out of tensors",
    "make one tensor of several with torch.stack or torch.cat",
)
BRANCH = KnownException(
    _decides,
    "Python decides by {}, which depends on the input's values",
    "compute both sides and choose with torch.where(condition, a, b)",
)
NUMBER = KnownException(
    _takes_number,
    "{} takes a Python number out of a tensor",
    "keep the value a tensor: without .item(), .tolist(), float(), int() and the functions of "
    "math; torch.sqrt, index_select and torch.where take tensors",
)
# In this order: the last two fit whatever torch asks a value for.
KNOWN_EXCEPTIONS = (ONE_HOT, NUMPY, COPY, BRANCH, NUMBER)
