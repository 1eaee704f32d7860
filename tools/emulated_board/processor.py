"""The processors that boards have, as qemu's ``-cpu`` and ``/proc/cpuinfo`` show them.

Both must agree: XNNPACK takes the kernels of the part that ``/proc/cpuinfo`` names, and one that
qemu does not emulate is an illegal instruction, in int8 first.
"""

from __future__ import annotations

# Part and revision: numbers of ARM's Main ID Register.
PARTS = {"cortex-a53": (0xD03, 4), "cortex-a72": (0xD08, 3), "cortex-a76": (0xD0B, 1)}
BASE = "fp asimd evtstrm crc32 cpuid"
MORE = {"cortex-a76": " aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"}


def features(cpu: str) -> tuple[str, ...]:
    """The features of ``cpu`` that Linux names."""
    return tuple((BASE + MORE.get(cpu, "")).split())


def cpu_info(cpu: str, cores: int = 4, model: str = "") -> str:
    """``/proc/cpuinfo`` of a board with ``cpu``. The host's own would make the runtimes crash.

    ``model``: what a Raspberry Pi calls itself there.
    """
    part, revision = PARTS[cpu]
    text = "".join(
        f"processor\t: {core}\nFeatures\t: {' '.join(features(cpu))}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part:#05x}\n"
        f"CPU revision\t: {revision}\n\n"
        for core in range(cores)
    )
    return f"{text}Model\t\t: {model}\n" if model else text
