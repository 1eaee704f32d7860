"""What goes wrong on a board."""

from __future__ import annotations


class AgentError(Exception):
    """What a user can fix, with what fixes it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
