"""The runner as one file that any Python 3.9 runs: a zip of its modules and a ``__main__``."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tinyml.runtimes import runner

NAME = "runner.zip"
FOLDER = Path(runner.__file__).parent
PACKAGE = "tinyml/runtimes/runner"
# Without what `tinyml` itself has there, which a board lacks.
EMPTY = ("tinyml/__init__.py", "tinyml/runtimes/__init__.py")
START = "import sys\n\nfrom tinyml.runtimes.runner.main import main\n\nsys.exit(main())\n"


def write_archive(path: Path) -> None:
    """Write the runner to ``path``: ``python PATH MODEL --runtime ...`` starts it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in EMPTY:
            archive.writestr(name, "")
        for module in sorted(FOLDER.glob("*.py")):
            archive.write(module, f"{PACKAGE}/{module.name}")
        archive.writestr("__main__.py", START)
