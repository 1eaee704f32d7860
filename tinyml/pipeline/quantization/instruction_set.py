"""What of this CPU the runtimes' kernels are chosen by."""

from __future__ import annotations

import platform
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


def instruction_set(cpu_info: Path = CPU_INFO) -> str:
    """The architecture and those extensions that this CPU has: ``x86_64 avx avx2 fma``.

    The architecture alone where the system does not tell more.
    """
    text = cpu_info.read_text(encoding="utf-8", errors="replace") if cpu_info.is_file() else ""
    found: set[str] = set()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            found |= KNOWN & set(value.split())
    return " ".join([platform.machine(), *sorted(found)])
