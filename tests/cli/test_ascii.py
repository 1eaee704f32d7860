"""On a terminal whose encoding has only ASCII, every command prints its help and its errors.

click writes UTF-8 there, all else is escaped: neither fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tinyml.cli.main import VERBS

# Every command in one process, with the streams that the interpreter made at its start.
RUN = """
import json, sys
from tinyml.cli.main import main
codes = []
for given in json.loads(sys.argv[1]):
    sys.argv = ["tinyml", *given]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code or 0)
print(json.dumps(codes))
"""
NAME = "größe_Ω"
HELP = [[verb, "--help"] for verb in VERBS]
UNKNOWN_OPTIONS = [[verb, f"--{NAME}"] for verb in VERBS]
# What needs more than a name.
OTHERS = {
    "train": [NAME, "--out", NAME],
    "prune": [NAME, "--method", NAME, "--out", NAME],
    "export": [NAME, "--target", NAME, "--out", NAME],
    "compare": [NAME, NAME],
    "predict": [NAME, f"{NAME}.wav"],
    "results": ["show", NAME],
}
UNKNOWN_NAMES = [[verb, *OTHERS.get(verb, [NAME])] for verb in VERBS]


def test_help_and_errors_of_every_verb_are_printed_in_ascii(tmp_path: Path) -> None:
    commands = [*HELP, *UNKNOWN_OPTIONS, *UNKNOWN_NAMES]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "TINYML_DATA": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    said = done.stderr.decode()
    assert "Traceback" not in said, said
    codes = json.loads(done.stdout.decode().splitlines()[-1])
    wrong = [c for c, code in zip(commands, codes, strict=True) if code not in wanted(c)]
    assert not wrong
    assert said.count(NAME) >= len(UNKNOWN_OPTIONS)
    assert said.count(r"gr\xf6\xdfe_\u03a9") >= 12


def wanted(command: list[str]) -> tuple[int, ...]:
    """Exit codes: of help, of an option that there is not, of a name that there is not."""
    if "--help" in command:
        return (0,)
    return (2,) if command in UNKNOWN_OPTIONS else (2, 3)
