"""A virtual environment of tinyml's own on the board, from wheels: neither pip nor network there.

~/.tinyml/wheels/     wheels that have arrived, until the environment is made
~/.tinyml/venv-KEY/   the environment; ``~/.tinyml/venv`` points at it
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import Any

from tinyml.board_scripts.agent.errors import AgentError
from tinyml.board_scripts.agent.files import sha256
from tinyml.board_scripts.agent.places import draft_of, move_file, place, point, remove

WHEELS, VENV = "wheels", "venv"
IMPORT_S = 300
# Parts of a wheel's data folder that lie with its modules.
MODULES = ("purelib", "platlib")


def wheels() -> dict[str, Any]:
    """Name -> hash of each wheel that has arrived."""
    folder = place(WHEELS)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return {"wheels": {name: sha256(os.path.join(folder, name)) for name in names}}


def keep_wheel(path: str, name: str, digest: str) -> dict[str, Any]:
    """Move the wheel at ``path`` to those that have arrived, if it is whole."""
    if sha256(path) != digest:
        raise AgentError(f"{name} was changed on its way", "run the command again")
    move_file(path, place(WHEELS, name))
    return {"kept": name}


def setup(key: str, modules: str, *names: str) -> dict[str, Any]:
    """Make the environment ``key`` of the wheels ``names``, unless it is there; its Python.

    It is used only if it can import ``modules``, which commas separate.
    """
    folder, link = place(f"{VENV}-{key}"), place(VENV)
    if not os.path.isdir(folder):
        with draft_of(folder) as draft:
            make_venv(draft)
            for name in names:
                unpack(place(WHEELS, name), draft)
            for module in modules.split(","):
                check_import(os.path.join(draft, "bin", "python"), module)
    if os.path.isdir(link) and not os.path.islink(link):
        raise AgentError(
            f"{link} is a folder that tinyml did not make", f"on the board: rm -r {link}"
        )
    point(link, os.path.basename(folder))
    for name in os.listdir(place()):
        if name.startswith(f"{VENV}-") and name != os.path.basename(folder):
            remove(place(name))
    remove(place(WHEELS))
    return {"python": os.path.join(link, "bin", "python")}


def make_venv(folder: str) -> None:
    try:
        import venv
    except ImportError as error:
        raise AgentError(
            "Python cannot make a virtual environment there",
            "on the board: sudo apt install python3-venv",
        ) from error
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)


def check_import(python: str, module: str) -> None:
    """Raise `AgentError` where ``module`` cannot be imported, as of a wheel for another CPU."""
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            [python, "-c", "import " + module],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=IMPORT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        reason = "{} was not imported within {} s".format(module, IMPORT_S)
        raise AgentError(reason) from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        killed = "it was killed by signal {}".format(-done.returncode)
        reason = killed if done.returncode < 0 or not lines else lines[-1]
        raise AgentError("{} cannot be imported there: {}".format(module, reason))


def unpack(wheel: str, folder: str) -> None:
    """What pip does with a wheel, but for its scripts: nothing here is started by one."""
    site = os.path.join(folder, "lib", "python{}.{}".format(*sys.version_info), "site-packages")
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            first, _, rest = entry.filename.partition("/")
            into = site
            if first.endswith(".data"):
                kind, _, rest = rest.partition("/")
                if kind not in (*MODULES, "data") or not rest:
                    continue
                into, entry.filename = site if kind in MODULES else folder, rest
            archive.extract(entry, into)
