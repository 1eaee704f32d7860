"""Scripts for bundles, failure reports and boards: numpy and one runtime wheel only.

Each is a file of its own here, and imports nothing of tinyml. What varies between bundles stands
in the JSON file next to the copy. The package ``agent`` is copied to a board instead, and
``start.py`` goes into the command that starts a program there: they need Python alone.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
RUN, REPRO, START = (_HERE / name for name in ("run.py", "repro.py", "start.py"))
# `tinyml listen`: the first is what is started.
LISTEN = tuple(_HERE / name for name in ("listen.py", "listen_sound.py", "listen_windows.py"))
