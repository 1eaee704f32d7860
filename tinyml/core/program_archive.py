"""A package of ours as one file that a board's Python runs: a zip of its modules.

``python FILE.zip ...`` calls ``main`` in the package's module of that name. Imports in it are the
same there as here; of the packages around it, only empty ones are there.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import ModuleType

START = "import sys\n\nfrom {} import main\n\nsys.exit(main())\n"


def write_program(path: Path, package: ModuleType) -> None:
    """Write the modules of ``package`` to the archive ``path``: the same bytes each time."""
    assert package.__file__ is not None
    folder = package.__name__.replace(".", "/")
    own = sorted(Path(package.__file__).parent.glob("*.py"))
    files = {f"{above.as_posix()}/__init__.py": "" for above in list(Path(folder).parents)[:-1]}
    files |= {f"{folder}/{module.name}": module.read_text("utf-8") for module in own}
    files["__main__.py"] = START.format(f"{package.__name__}.main")
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # its date is always the same
