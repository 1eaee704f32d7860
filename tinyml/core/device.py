"""A machine that models run on: where it is, and which target it is."""

from __future__ import annotations

from dataclasses import dataclass

from tinyml.core.measurement import Label
from tinyml.core.target import HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One machine.

    name      what the user calls it
    link      how it is reached: a name of `tinyml.core.registry.LINKS`
    address   where: of ``ssh`` ``[user@]host[:port]``, or a host of the user's OpenSSH
              configuration; of ``adb`` the serial number; empty for this machine
    target    the target that it is: a shipped one, or a TOML file
    python    path of Python there; empty: the link's own choice
    tags      words by which several devices are chosen
    emulated  an emulator that ``ssh`` or ``adb`` reaches: its times are not those of a board
    runner    starts each command of the link ``emulated``
    """

    name: str
    link: str
    address: str = ""
    target: str = HOST
    python: str = ""
    tags: tuple[str, ...] = ()
    emulated: bool = False
    runner: tuple[str, ...] = ()

    @property
    def label(self) -> Label:
        """What a measurement over ``ssh`` or ``adb`` is called."""
        return "emulated" if self.emulated else "device"


THIS_MACHINE = Device(name=HOST, link="local")
