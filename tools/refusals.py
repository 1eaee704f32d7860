"""Write docs/refusals.md: what a user sees of networks that cannot be exported, and each fixed.

``python tools/refusals.py``: each goes through the command line as its user would call it.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinyml.core.process import python_module, tied

ROOT = Path(__file__).parents[1]
NETWORKS = ROOT / "tests" / "refused_networks.py"
PAGE = ROOT / "docs" / "refusals.md"
HEAD = """\
# Networks that do not export, and the messages

```sh
tinyml export net.py:FACTORY --sample sample.npz --target rpi --out mine
```

Each network has one submodule, `body.1.1`, that cannot be exported. The command prints the
smallest part that fails, its line in your source, the reason, and a fix. The exit code is 3 and
no bundle is written. Below each message is the submodule after the fix: a test exports it to both
formats. `make refusals` writes this page from
[tests/refused_networks.py](../tests/refused_networks.py); a test compares it.
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


def section(kind: type, fixed: type, said: str) -> str:
    """One network of the page."""
    code = (f"```python\n{inspect.getsource(part).strip()}\n```" for part in (kind, fixed))
    before, after = code
    title = str(inspect.getdoc(kind)).rstrip(".")
    return f"\n## {title}\n\n{before}\n\n```\n{said}\n```\n\nAfter the fix:\n\n{after}\n"


def main() -> None:
    sys.path.insert(0, str(NETWORKS.parent))
    from refused_networks import FIXED

    kinds = {kind.__name__.lower(): kind for kind in FIXED}
    with ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / factory for factory in kinds]
        for folder in folders:
            folder.mkdir()
        found = list(pool.map(refusal, kinds, folders))
    parts = [HEAD]
    for kind, (code, said) in zip(kinds.values(), found, strict=True):
        assert code == 3, said
        parts.append(section(kind, FIXED[kind], said))
    PAGE.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
