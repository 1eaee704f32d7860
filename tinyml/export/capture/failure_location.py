"""Where a refusal comes from, and the one line that tells the user."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tinyml.core.errors import ExportError

CAPTURE = "torch.export cannot capture {}"
EAGER = "PyTorch itself fails in {}"
UNKNOWN = "try that part alone, or write it with other operators"
# Of MLIR's messages: `FILE:LINE:COLUMN: error: ` before, and the operation's text after.
_PLACE = re.compile(r"\S+:\d+:\d+: error: |error: \"[^']*\): (?=')")
_DUMP = re.compile(r": %\w+ = .*$")
# What LiteRT's converter and PyTorch's exporter write where they lack an operator or a type.
_LACKING = re.compile(
    r"Lowering not found: (?P<lowering>[\w.]+)|Error when translating node .*"
    r"target=torch\.ops\.(?P<node>[\w.]+)|Unsupported ir element type: (?P<type>\S+)"
)


@dataclass(frozen=True, slots=True)
class FailureLocation:
    """The smallest part that fails.

    name     qualified name of the submodule; empty: the module itself
    kind     its class
    where    ``file:line`` of the user's source; empty when it is not known
    message  why, where that is known, else the converter's error: one line
    fix      what helps; empty: it is not known
    """

    name: str
    kind: str
    where: str
    message: str
    fix: str = ""

    @property
    def subject(self) -> str:
        """For a sentence: ``'front' (Front, net.py:12)``."""
        inside = ", ".join(part for part in (self.kind, self.where) if part)
        named = f"'{self.name}'" if self.name else "the module itself"
        return f"{named} ({inside})" if inside else named


def refusal(
    sentence: str, location: FailureLocation, log: Path | None, *, cut_short: bool
) -> ExportError:
    """The error for ``sentence``, which has ``{}`` for the subject; hint: the fix, then the log."""
    hint = [location.fix or UNKNOWN]
    if cut_short:
        hint.append("time ran out before smaller parts were tried")
    if log is not None:
        hint.append(f"the whole log: {log}")
    message = f"{sentence.format(location.subject)}: {location.message}"
    error = ExportError(message, hint="; ".join(hint))
    error.located = True
    return error


def reason(message: str) -> str:
    """The converter's own error, without our words, dumps and places in generated code."""
    own = message.partition(": ")[2] or message
    if lacking := _LACKING.search(own):
        return f"the converter has no form of {lacking[lacking.lastgroup or 0]} as it is used here"
    return _DUMP.sub("", _PLACE.sub("", own)).strip(" :")
