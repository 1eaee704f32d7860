"""Errors on a board."""

from __future__ import annotations


class AgentError(Exception):
    """An error that a user can fix, with its hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
