"""Whether packages can be imported, tried in a child process that may die of one.

    python -m tinyml.pipeline.import_check OUT MODULE...

The child writes a line to OUT before it imports a module, and one behind it. The module behind a
line alone is what the child died of; the next child goes on after it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module, metadata
from pathlib import Path

from tinyml.core.errors import InternalError, MachineError, TinymlError
from tinyml.core.scratch import scratch
from tinyml.core.subprocesses import run_child
from tinyml.core.text import one_line
from tinyml.runtimes.runner.openvino_model import import_openvino

# Those that would report their use when they are imported.
IMPORTS: Mapping[str, Callable[[], object]] = {"openvino": import_openvino}
SECONDS = 300.0
LONGEST = 160


def import_errors(packages: Iterable[str]) -> dict[str, str]:
    """Installed package -> why one of its modules cannot be imported; empty: all can."""
    owners = {module: package for package in packages for module in modules_of(package)}
    found = dict.fromkeys(owners.values(), "")
    left = list(owners)
    with scratch("imports") as folder:
        while left:
            tried = _try(left, folder)
            if not tried:
                raise MachineError("no process can be started that imports a package")
            for module, error in tried.items():
                found[owners[module]] = found[owners[module]] or error
            left = left[len(tried) :]
    return found


def modules_of(package: str) -> tuple[str, ...]:
    """Modules that the installed ``package`` is imported by: the one of its name, else all."""
    tops = {
        path.parts[0].removesuffix(".py")
        for path in metadata.files(package) or ()
        if path.suffix == ".py" and len(path.parts) <= 2
        if len(path.parts) == 1 or path.name == "__init__.py"
    }
    named = re.sub(r"[-.]", "_", package)
    public = tuple(sorted(own for own in tops if own.isidentifier() and own[0] != "_"))
    return (named,) if named in public else public


def _try(modules: list[str], folder: Path) -> Mapping[str, str]:
    """Module -> its error, for those that a child came to."""
    out = folder / "tried"
    out.unlink(missing_ok=True)
    died = "the import does not end"
    try:
        arguments = [str(out), *modules]
        run_child(__name__, arguments, log=folder / "log", timeout_s=SECONDS)
    except (TinymlError, InternalError) as error:
        died = error.message
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    ended = dict(json.loads(line) for line in lines if line.startswith("["))
    begun = [line for line in lines if not line.startswith("[")]
    return {module: ended.get(module, died) for module in begun}


def main(arguments: list[str]) -> None:
    """The child."""
    out, *modules = arguments
    with open(out, "a", encoding="utf-8") as stream:
        for module in modules:
            print(module, file=stream, flush=True)
            error = ""
            try:
                IMPORTS[module]() if module in IMPORTS else import_module(module)
            except BaseException as fault:  # a package may even exit
                error = one_line(f"{type(fault).__name__}: {fault}", LONGEST)
            print(json.dumps([module, error]), file=stream, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
