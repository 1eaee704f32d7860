"""Scripts for bundles, failure reports and boards: numpy and one runtime wheel only.

Each is a file of its own here, and imports nothing of tinyml. What varies between bundles stands
in the JSON file next to the copy. The package ``agent`` is copied to a board instead, and
``start.py`` goes into the command that starts a program there: they need Python alone.
"""

from __future__ import annotations

from pathlib import Path

RUN, REPRO, START = (Path(__file__).with_name(name) for name in ("run.py", "repro.py", "start.py"))
