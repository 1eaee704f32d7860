"""Start a program that was pushed to a board, if it is unchanged and this Python is new enough.

    python -c "$(cat start.py)" SHA256 PROGRAM ARGUMENTS...

It comes with the command, so that no file on the board checks itself; Python 3.6 can read it. Its
exit codes, and that stderr has the reason, are what `tinyml.device.program` knows.
"""

import hashlib
import runpy
import sys

OLDEST = (3, 9)
TOO_OLD, CHANGED = 78, 79


def refusal(sha256: str, program: str) -> "tuple[int, str]":
    """Exit code and reason; code 0: there is none."""
    if sys.version_info[:2] < OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        return TOO_OLD, f"Python {version} is too old there: 3.9 or newer is needed"
    try:
        with open(program, "rb") as stream:
            found = hashlib.sha256(stream.read()).hexdigest()
    except OSError as error:
        return CHANGED, f"{program} cannot be read there: {error.strerror}"
    if found != sha256:
        return CHANGED, f"{program} was changed there after it was pushed"
    return 0, ""


if __name__ == "__main__":
    sha256, sys.argv = sys.argv[1], sys.argv[2:]
    code, reason = refusal(sha256, sys.argv[0])
    if code:
        sys.stderr.write(reason + "\n")
        sys.exit(code)
    sys.path = [place for place in sys.path if place]  # without the current folder
    runpy.run_path(sys.argv[0], run_name="__main__")
