"""Python of the user's: found by name, run, and its failures told with its own file and line.

Called in child processes only, so that its prints, exits and crashes stay there.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyml.core.errors import ExportError, InputError

PACKAGE = str(Path(__file__).parents[2])


def is_code(name: str) -> bool:
    """Whether ``name`` reads ``PATH.py:NAME`` or ``package.module:NAME``."""
    where, colon, attribute = name.rpartition(":")
    return bool(colon and where) and attribute.isidentifier()


def check_code(name: str) -> None:
    """Raise `InputError` when the file that ``name`` points into is not there; runs nothing."""
    where = name.rpartition(":")[0]
    if not where.endswith(".py"):
        if not all(part.isidentifier() for part in where.split(".")):
            raise InputError(
                f"'{where}' is neither a Python file nor a module",
                hint="give PATH.py:NAME or package.module:NAME",
            )
    elif not Path(where).is_file():
        raise InputError(f"no file at {where}", hint="give PATH.py:NAME or package.module:NAME")


def load_code(name: str) -> Any:
    """What ``name`` stands for; its imports are looked for next to it as well.

    Raises `InputError` when there is no such module or name in it, `ExportError` when the
    import fails.
    """
    where, _, attribute = name.rpartition(":")
    with explained(f"importing {_short(name)[0]}"), _folder_first(where):
        module = _file(Path(where)) if where.endswith(".py") else _module(where)
    if not hasattr(module, attribute):
        own = [n for n, v in vars(module).items() if _is_own(v, module)]
        near = difflib.get_close_matches(attribute, own, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has: {', '.join(own[:8])}"
        raise InputError(f"{_short(name)[0]} has no '{attribute}'", hint=hint)
    return getattr(module, attribute)


def make(name: str) -> Any:
    """Call the factory ``name`` without arguments and return the ``nn.Module`` that it makes.

    Raises `InputError` when it wants arguments or makes something else, `ExportError`
    when it fails or exits.
    """
    from torch import nn

    factory = load_code(name)
    if not callable(factory) or isinstance(factory, nn.Module):
        raise InputError(
            f"{':'.join(_short(name))} is a {type(factory).__name__}, not a factory",
            hint="name a function or class that makes the module when called without arguments",
        )
    _check_no_arguments(name, factory)
    with explained(f"calling {_short(name)[1]}()"), _folder_first(name.rpartition(":")[0]):
        module = factory()
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{place(factory)}{_short(name)[1]}() returns a {type(module).__name__}, no nn.Module",
            hint="the factory must return the module",
        )
    return module


def _check_no_arguments(name: str, factory: Any) -> None:
    try:
        inspect.signature(factory).bind()
    except ValueError:  # built in: it says nothing of its arguments
        return
    except TypeError as error:
        raise InputError(
            f"{place(factory)}{_short(name)[1]} wants arguments ({error})",
            hint="the factory is called without any: give them defaults, or wrap it in a function",
        ) from error


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Failures of the user's code, ``sys.exit`` too, become `ExportError` with file and line."""
    try:
        yield
    except InputError:
        raise
    except SyntaxError as error:
        where = f"{Path(error.filename or '').name}:{error.lineno}: " if error.filename else ""
        raise ExportError(f"{doing}: {where}{error.msg}") from error
    except SystemExit as error:
        raise ExportError(
            f"{doing}: {line_of(error)}the code calls sys.exit({error.code!r})",
            hint="it must return: put what is only for running it under if __name__ == '__main__'",
        ) from error
    except Exception as error:
        raise ExportError(f"{doing}: {line_of(error)}{_one_line(error)}") from error


def line_of(error: BaseException) -> str:
    """``file.py:12: ``, the innermost line of ``error`` that is no package's, or nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _installed(frame.filename)]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""


def place(thing: Any) -> str:
    """``file.py:12: `` where a function or class is defined, or nothing."""
    try:
        file, (_, line) = inspect.getsourcefile(thing), inspect.getsourcelines(thing)
    except (TypeError, OSError):
        return ""
    return f"{Path(file or '').name}:{line}: "


def _installed(file: str) -> bool:
    libraries = ("site-packages", "dist-packages", "<frozen")
    return file.startswith((PACKAGE, sys.base_prefix)) or any(part in file for part in libraries)


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"


def _short(name: str) -> tuple[str, str]:
    """The file without its folder, or the module; and what is in it."""
    where, _, attribute = name.rpartition(":")
    return (Path(where).name if where.endswith(".py") else where), attribute


def _is_own(value: Any, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", "") == module.__name__


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise InputError(
            f"no module '{error.name}' can be imported from here",
            hint="install it, set PYTHONPATH, or give PATH.py:NAME",
        ) from error


@contextlib.contextmanager
def _folder_first(where: str) -> Iterator[None]:
    """A file's own folder, of a module the current one, is on the path: first in the block.

    Behind the block it comes last: what the user's code imports late is found, and takes the
    place of nothing that we import.
    """
    folder = str(Path(where).absolute().parent if where.endswith(".py") else Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _file(path: Path) -> ModuleType:
    """Import a file under its own stem, as a script's neighbour would."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
