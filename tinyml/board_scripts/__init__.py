"""Scripts that are copied into bundles and failure reports: numpy and one runtime wheel only.

Each is a file of its own here, and imports nothing of tinyml. What varies between bundles stands
in the JSON file next to the copy. ``agent.py`` is copied to a board instead: it needs Python alone.
"""

from __future__ import annotations

from pathlib import Path

RUN, REPRO, AGENT = (Path(__file__).with_name(n) for n in ("run.py", "repro.py", "agent.py"))
