"""Which target a board is, from what it reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tinyml.core.board_facts import BoardFacts
from tinyml.core.target import Target, all_targets

ANDROID = "Android"


@dataclass(frozen=True, slots=True)
class Recognised:
    """``target``, and why it is that one."""

    target: Target
    because: str


def recognise(facts: BoardFacts) -> Recognised | None:
    """The shipped target that the board is, or is like; ``None``: none of them.

    By the model's name: ``Raspberry Pi 4 Model B Rev 1.4`` starts with that of a target. Else by
    the processor, where all cores are of one kind and one target has it.
    """
    boards = [own for own in all_targets().values() if not own.is_host]
    if facts.system.startswith(ANDROID):
        return _only((own for own in boards if own.link == "adb"), f"it runs {facts.system}")
    by_name = [own for own in boards if facts.board.startswith(own.board)]
    if by_name:
        longest = max(by_name, key=lambda own: len(own.board))
        return Recognised(longest, f"its model is {facts.board}")
    if len(facts.cpus) != 1:
        return None
    (cpu,) = facts.cpus
    called = facts.board or "its model is not known"
    return _only((own for own in boards if own.cpu == cpu), f"{called}, with a {cpu}")


def _only(targets: Iterable[Target], because: str) -> Recognised | None:
    """The one of ``targets``; ``None`` where there are several or none."""
    found = list(targets)
    return Recognised(found[0], because) if len(found) == 1 else None
