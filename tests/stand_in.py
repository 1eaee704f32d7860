"""Programs that take the place of Python on a board, and misbehave."""

from __future__ import annotations

import sys
from pathlib import Path


def shell(path: Path, script: str) -> str:
    """A shell script at ``path``; the path as a command."""
    return _program(path, f"#!/bin/sh\n{script}\n")


def python_after(path: Path, code: str) -> str:
    """Python there runs ``code`` before what it is given with ``-c``."""
    given = "import sys\ndel sys.argv[0]\nexec(sys.argv.pop(1))\n"
    return _program(path, f"#!{sys.executable}\n{code}\n{given}")


def hiding(*packages: str) -> str:
    """Code for `python_after`: ``packages`` are not installed there."""
    return f"""
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


# When a request has come after {count} answers it runs {code}, once: the file {flag} shows that it
# did. The answers have arrived then, since the other side waits for each.
AT_REQUEST = """
import faulthandler, os, select, signal, time
arm, calls = faulthandler.dump_traceback_later, 0
def counting(*arguments, **options):
    global calls
    calls += 1
    if calls == {count} + 2 and not os.path.exists({flag!r}):
        open({flag!r}, "w").close()
        select.select([0], [], [])
        {code}
    arm(*arguments, **options)
faulthandler.dump_traceback_later = counting
"""


def at_request(path: Path, count: int, code: str) -> str:
    """The runner's process runs ``code`` after ``count`` answers, and only the first such one."""
    flag = str(path.with_suffix(".did"))
    return python_after(path, AT_REQUEST.format(count=count, flag=flag, code=code))


def _program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)
