"""One subcommand, and one JSON line on stdout.

    python agent.zip facts
    python agent.zip hash FILE...
    python agent.zip lock [OLD NEW]

On failure the line is ``{"error": ..., "hint": ...}``, and the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tinyml.board_scripts.agent.errors import AgentError
from tinyml.board_scripts.agent.facts import facts
from tinyml.board_scripts.agent.files import hash_files
from tinyml.board_scripts.agent.lock import lock

COMMANDS: dict[str, Any] = {"facts": facts, "hash": hash_files, "lock": lock}


def main(arguments: list[str] | None = None) -> int:
    name, *rest = sys.argv[1:] if arguments is None else arguments
    try:
        answer, code = COMMANDS[name](*rest), 0
    except AgentError as error:
        answer, code = {"error": str(error), "hint": error.hint}, 1
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        answer, code = {"error": f"{name}: {error.strerror}{where}", "hint": ""}, 1
    print(json.dumps(answer))
    return code
