"""An error of ours as JSON: a child process sends it, and its parent raises the same one."""

from __future__ import annotations

from typing import Any

from tinyml.core import errors
from tinyml.core.errors import TinymlError


def error_to_json(error: TinymlError) -> dict[str, Any]:
    """The nearest class of the project's own tree, and all fields."""
    kind = next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
    return {"kind": kind, "fields": dict(vars(error))}


def error_from_json(data: Any) -> TinymlError:
    """The error as it was, whatever its constructor takes; `ValueError` for anything else."""
    fields = data.get("fields") if isinstance(data, dict) else None
    if not isinstance(fields, dict) or not isinstance(data.get("kind"), str):
        raise ValueError("it is not an error that a child sent")
    kind = getattr(errors, data["kind"], None)
    told = (fields.get("message"), fields.get("hint"))
    if not isinstance(kind, type) or not issubclass(kind, TinymlError):
        raise ValueError(f"'{data['kind']}' is not an error of ours")
    if not all(isinstance(text, str) for text in told):
        raise ValueError("it has no message and no hint")
    error = kind.__new__(kind)
    TinymlError.__init__(error, fields["message"], hint=fields["hint"])
    for name in fields.keys() - {"message", "hint"}:
        setattr(error, name, fields[name])
    return error
