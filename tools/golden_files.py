"""Export four models in five precisions and print the hash of each model file.

    python tools/golden_files.py > before.json
    python tools/golden_files.py --compare before.json

FunnelNet (seed 0, untrained), the dense and the 90% sparse MobileNet-v1 of
``examples/checkpoints``, and the network of ``examples/keyword_spotting.py`` (seed 0). Where the
gate refuses a model its message stands for the hash. The same code on the same machine gives the
same bytes: run both commands on one machine. With ``--compare`` the exit code is 5 where a hash
differs, and each such file is named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tinyml.core.files import sha256
from tinyml.core.process import python_module, tied
from tinyml.models.funnelnet import FunnelNet

ROOT = Path(__file__).parents[1]
PRECISIONS = ("fp32", "fp16", "w8a8-static", "w8-dynamic", "w8")
CALIBRATED = ("w8a8-static",)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compare", type=Path, help="what an earlier run printed")
    parser.add_argument("--only", default="", help="a model's name")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = dict(_hashes(Path(folder), asked.only))
    if asked.compare is None:
        print(json.dumps(found, indent=2))
        return 0
    known = json.loads(asked.compare.read_text(encoding="utf-8"))
    differing = [name for name in found if found[name] != known.get(name)]
    for name in differing:
        print(f"{name} differs")
    print(f"{len(found) - len(differing)} of {len(found)} model files are the same")
    return 5 if differing else 0


def _hashes(folder: Path, only: str) -> Iterator[tuple[str, str]]:
    for name, model in _models(folder).items():
        for precision in PRECISIONS if only in ("", name) else ():
            out = folder / f"{name}-{precision}"
            given = ["export", *model, "--target", "rpi", "--precision", precision]
            if precision in CALIBRATED:
                given += ["--calibration", str(folder / f"{name}.npz")]
            command = python_module("tinyml.cli.main", [*given, "--out", str(out)])
            done = subprocess.run(tied(command), check=False, capture_output=True, text=True)
            print(f"{name} {precision}: exit {done.returncode}", file=sys.stderr, flush=True)
            if done.returncode:
                yield f"{name} {precision}", _error(done.stderr)
            for path in sorted(out.glob("*.onnx")) + sorted(out.glob("*.tflite")):
                yield path.name if name in path.name else f"{name}/{path.name}", sha256(path)


def _error(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("error: "))


def _models(folder: Path) -> dict[str, list[str]]:
    """Name -> arguments of ``tinyml export``; writes calibration samples ``NAME.npz``."""
    torch.manual_seed(0)
    save_file(FunnelNet(3).state_dict(), folder / "w.safetensors")
    random = np.random.default_rng(0)
    samples = {
        "funnelnet": {"waveform": 0.1 * random.standard_normal((8, 1, 24000), np.float32)},
        "dense": {"image": random.standard_normal((8, 1, 3, 32, 32), np.float32)},
        "sparse90": {"image": random.standard_normal((8, 1, 3, 32, 32), np.float32)},
        "keyword": {"audio": random.standard_normal((8, 1, 4000), np.float32)},
    }
    for name, arrays in samples.items():
        np.savez(folder / f"{name}.npz", **arrays)
    np.savez(folder / "s.npz", audio=samples["keyword"]["audio"][0])
    checkpoints = ROOT / "examples" / "checkpoints"
    keyword = ROOT / "examples" / "keyword_spotting.py"
    return {
        "funnelnet": ["funnelnet", "--weights", str(folder / "w.safetensors")],
        "dense": [str(checkpoints / "sparse-dense.safetensors"), "--without-data"],
        "sparse90": [str(checkpoints / "sparse-sparse90.safetensors"), "--without-data"],
        "keyword": [f"{keyword}:KeywordNet", "--sample", str(folder / "s.npz")],
    }


if __name__ == "__main__":
    sys.exit(main())
