"""Write docs/refusals.md: what a user sees of six networks that cannot be exported.

``python tools/refusals.py``: each goes through the command line as its user would call it.
"""

from __future__ import annotations

import inspect
import re
import runpy
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinyml.core.process import python_module, tied

ROOT = Path(__file__).parents[1]
NETWORKS = ROOT / "tests" / "cli" / "refused_networks.py"
PAGE = ROOT / "docs" / "refusals.md"
FACTORIES = ("gate", "counter", "scale", "phase", "loud", "spectrum")
HEAD = """\
# Networks that do not export, and the messages

```sh
tinyml export net.py:FACTORY --sample sample.npz --target rpi --out mine
```

Six networks each have one submodule, `body.1.1`, that no format can hold. The command prints the
smallest part that fails, where its source is, the converter's message, and a fix. The exit code
is 3 and no bundle is written. `make refusals` writes this page from
[tests/cli/refused_networks.py](../tests/cli/refused_networks.py); a test compares it.
"""


def refusal(factory: str, folder: Path) -> tuple[int, str]:
    """Exit code and the last two lines said, the places of this machine left out."""
    shape = (1, 64)
    np.savez(folder / "sample.npz", x=np.linspace(-1, 1, 64, dtype=np.float32).reshape(shape))
    (folder / "net.py").write_text(NETWORKS.read_text(encoding="utf-8"), encoding="utf-8")
    given = ["export", f"net.py:{factory}", "--sample", "sample.npz"]
    command = python_module("tinyml.cli.main", [*given, "--target", "rpi", "--out", "mine"])
    done = subprocess.run(tied(command), cwd=folder, capture_output=True, text=True, check=False)
    said = "\n".join(done.stderr.strip().splitlines()[-2:])
    return done.returncode, re.sub(r"/\S*/(tinyml-export-)\w+/", r"/tmp/\1.../", said)


def main() -> None:
    parts = [HEAD]
    # only to read the classes' source: the networks themselves are made by the command line
    networks = runpy.run_path(str(NETWORKS))
    with ThreadPoolExecutor(2) as pool, tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / factory for factory in FACTORIES]
        for folder in folders:
            folder.mkdir()
        found = list(pool.map(refusal, FACTORIES, folders))
    for factory, (code, said) in zip(FACTORIES, found, strict=True):
        assert code == 3, said
        kind = networks[factory.capitalize()]
        parts.append(f"\n## {inspect.getdoc(kind)}\n\n```\n{said}\n```\n")
    PAGE.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
