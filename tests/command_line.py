"""The command line for tests: in this process, or in one of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

Done = subprocess.CompletedProcess[str]


def tinyml(*arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
    """Run the command line in this process, which has imported torch and the runtimes already.

    Returns what a process would have returned. A bug keeps its traceback, which fails the test.
    Both streams are files, because the runtimes redirect file descriptors.
    """
    from tinyml.cli.main import app

    words = list(map(str, arguments))
    code = 0
    with contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
        stack.enter_context(mock.patch.dict(os.environ, env or {}))
        stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            app(words, prog_name="tinyml")
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        for stream in (out, err):
            stream.seek(0)
        return Done(words, code, out.read(), err.read())


def tinyml_process(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> Done:
    """Run the command line in a process of its own, as users do: for one test of each verb."""
    return subprocess.run(
        [sys.executable, "-m", "tinyml.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
