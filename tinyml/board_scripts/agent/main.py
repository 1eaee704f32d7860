"""One subcommand, and one JSON line on stdout.

    python agent.zip facts
    python agent.zip hash FILE...
    python agent.zip lock [OLD NEW]
    python agent.zip hold GOVERNOR
    python agent.zip install NAME DIGEST ARCHIVE | rollback NAME | bundles
    python agent.zip service NAME UNIT
    python agent.zip wheels | keep-wheel FILE NAME SHA256 | setup KEY MODULES NAME...

On failure the line is ``{"error": ..., "hint": ...}``, and the exit code is 1.
"""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

from tinyml.board_scripts.agent.errors import AgentError
from tinyml.board_scripts.agent.facts import facts
from tinyml.board_scripts.agent.files import hash_files
from tinyml.board_scripts.agent.governor import hold
from tinyml.board_scripts.agent.install import bundles, install, rollback
from tinyml.board_scripts.agent.lock import lock
from tinyml.board_scripts.agent.service import service
from tinyml.board_scripts.agent.setup import keep_wheel, setup, wheels

FULL = (errno.ENOSPC, errno.EDQUOT)
COMMANDS: dict[str, Any] = {
    "facts": facts,
    "hash": hash_files,
    "lock": lock,
    "hold": hold,
    "wheels": wheels,
    "keep-wheel": keep_wheel,
    "setup": setup,
    "install": install,
    "rollback": rollback,
    "bundles": bundles,
    "service": service,
}


def main(arguments: list[str] | None = None) -> int:
    name, *rest = sys.argv[1:] if arguments is None else arguments
    try:
        answer, code = COMMANDS[name](*rest), 0
    except AgentError as error:
        answer, code = {"error": str(error), "hint": error.hint}, 1
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        hint = "free some space on the board" if error.errno in FULL else ""
        answer, code = {"error": f"{name}: {error.strerror}{where}", "hint": hint}, 1
    print(json.dumps(answer))
    return code
