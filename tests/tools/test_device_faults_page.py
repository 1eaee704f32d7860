from __future__ import annotations

import json
from pathlib import Path

from device_faults_page import PAGE, page


def test_the_page_holds_the_recorded_rows() -> None:
    assert PAGE.read_text("utf-8") == page(), "make device-faults writes it"


def test_a_row_is_a_line_in_its_section(tmp_path: Path) -> None:
    row = {
        "when": "copying files",
        "fault": "disk full",
        "message": "no space | left in `/tmp`",
        "code": 4,
        "board": "nothing",
        "host": "nothing",
    }
    (tmp_path / "row.json").write_text(json.dumps(row))
    text = page(tmp_path)
    assert "## Copying files" in text
    assert "| disk full | `no space \\| left in '/tmp'` | 4 | nothing | nothing |" in text
    assert "## While a model runs" not in text
