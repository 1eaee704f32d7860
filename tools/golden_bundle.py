"""Regenerate the manifest that the wheel's test inspects: ``python tools/golden_bundle.py``.

It is the manifest of an untrained FunnelNet's bundle, judged on generated inputs alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from tinyml.core.process import python_module, tied
from tinyml.models.funnelnet import FunnelNet

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "bundle"


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        save_file(FunnelNet(3).state_dict(), f"{folder}/w.safetensors")
        given = ["export", "funnelnet", "--weights", f"{folder}/w.safetensors"]
        given += ["--target", "rpi", "--out", f"{folder}/bundle"]
        subprocess.run(tied(python_module("tinyml.cli.main", given)), check=True)
        GOLDEN.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"{folder}/bundle/manifest.json", GOLDEN)


if __name__ == "__main__":
    main()
