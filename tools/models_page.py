"""Write the tables of docs/models.md: ``python tools/models_page.py [--check]``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tinyml.core import registry
from tinyml.core.target import all_targets
from tinyml.models.table import read_table
from tinyml.pipeline.formats.of_target import formats_there

PAGE = Path(__file__).parents[1] / "docs" / "models.md"


def models() -> str:
    head = "| model | parameters | nonzero | MACs | front end MAC/s | input | paper |\n"
    head += "|---" * 7 + "|\n"
    rows = [
        f"| `{row['name']}` | {row['parameters']:,} | {_count(row, 'nonzero')} | {row['macs']:,} "
        f"| {_count(row, 'front_end_macs_per_second')} "
        f"| {row['input']} | {row['paper']} |"
        for row in read_table()
    ]
    return head + "\n".join(rows)


def _count(row: dict[str, object], key: str) -> str:
    value = row.get(key)
    return f"{value:,.0f}" if isinstance(value, int | float) else "-"


def support() -> str:
    """Every kind of model in every format, precision and target."""
    targets = list(all_targets().values())
    head = "| models of | format | precision | " + " | ".join(t.name for t in targets) + " |\n"
    head += "|---" * (3 + len(targets)) + "|\n"
    rows = [
        f"| {kind} | {fmt} | {precision} | "
        + " | ".join(
            ("yes" if fmt in formats_there(target) else "no runtime") for target in targets
        )
        + " |"
        for kind in dict.fromkeys(row["input"].split()[0] for row in read_table())
        for fmt in registry.FORMATS
        for precision in registry.PRECISIONS
    ]
    return head + "\n".join(rows)


def filled(text: str) -> str:
    """``text`` with each table between its markers."""
    for name, table in (("models", models()), ("support", support())):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.S)
    return text


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before)
    if "--check" in sys.argv and after != before:
        sys.exit("the tables of docs/models.md are stale: make tables")
    PAGE.write_text(after, encoding="utf-8")
