"""What of a CPU the runtimes' kernels are chosen by, and what that means for a model."""

from __future__ import annotations

import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

# As Linux names them in /proc/cpuinfo: the extensions that XNNPACK's ``hardware-config.c``
# and onnxruntime's ``mlas/lib/platform.cpp`` ask for. Others change no kernel.
X86 = (
    "ssse3 sse4_1 avx f16c fma avx2 avx_vnni avx_vnni_int8 avx_vnni_int16 avx_ne_convert avx512f "
    "avx512cd avx512bw avx512dq avx512vl avx512vbmi avx512_vnni avx512_bf16 avx512_fp16 gfni "
    "amx_tile amx_int8 amx_fp16"
)
ARM = "asimd asimdhp fphp asimddp asimdfhm i8mm bf16 sve sve2 svei8mm sme sme2"
KNOWN = frozenset(f"{X86} {ARM}".split())
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Kernels:
    """What the presence of ``feature`` means for the kernels of ``what``."""

    what: str
    feature: str
    meaning: str


# Of each ``what`` the first that a CPU has counts.
MEANINGS = (
    Kernels("int8", "amx_int8", "tiles of dot products (AMX)"),
    Kernels("int8", "avx512_vnni", "dot products (VNNI), four products in a lane at once"),
    Kernels("int8", "avx_vnni", "dot products (VNNI), four products in a lane at once"),
    Kernels("int8", "avx2", "no dot products: onnxruntime needs slower kernels for exact sums"),
    Kernels("int8", "i8mm", "dot products and matrix products (i8mm)"),
    Kernels("int8", "asimddp", "dot products (SDOT), four products in a lane at once"),
    Kernels("int8", "asimd", "no dot products: about twice the instructions of a CPU with them"),
    Kernels("float16", "avx512_fp16", "arithmetic in float16"),
    Kernels("float16", "f16c", "stored only: converted to float32 to compute"),
    Kernels("float16", "asimdhp", "arithmetic in float16"),
    Kernels("float16", "asimd", "stored only: converted to float32 to compute"),
    Kernels("sparse", "avx", "pruned weights run dense: XNNPACK has no sparse kernels for AVX"),
    Kernels("sparse", "asimd", "XNNPACK has sparse kernels for pruned 1x1 convolutions"),
)


def kernels(features: Collection[str]) -> tuple[Kernels, ...]:
    """What a CPU with ``features`` means for int8, float16 and sparse files; empty: not known."""
    found: dict[str, Kernels] = {}
    for row in MEANINGS:
        if row.feature in features:
            found.setdefault(row.what, row)
    return tuple(found.values())


def cpu_features(cpu_info: Path = CPU_INFO) -> tuple[str, ...]:
    """Those extensions that this CPU has, sorted; none where the system does not tell."""
    text = cpu_info.read_text(encoding="utf-8", errors="replace") if cpu_info.is_file() else ""
    found: set[str] = set()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            found |= KNOWN & set(value.split())
    return tuple(sorted(found))


def instruction_set(cpu_info: Path = CPU_INFO) -> str:
    """The architecture and `cpu_features`: ``x86_64 avx avx2 fma``."""
    return " ".join([platform.machine(), *cpu_features(cpu_info)])
