"""Scripts that are copied into bundles and failure reports: numpy and one runtime wheel only.

Each is a file of its own here, and imports nothing of tinyml. What varies between bundles stands
in the JSON file next to the copy. ``agent.py`` is copied to a board instead: it needs Python alone.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
RUN, REPRO, AGENT = (_HERE / name for name in ("run.py", "repro.py", "agent.py"))
# `tinyml listen`: the first is what is started.
LISTEN = tuple(_HERE / name for name in ("listen.py", "listen_sound.py", "listen_windows.py"))
