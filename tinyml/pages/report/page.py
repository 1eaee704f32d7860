"""One HTML file that needs nothing else: no network, no script, no style but its own.

Jinja2 escapes every value. The Content-Security-Policy allows the one style sheet by its hash, and
pictures and sounds that are in the file.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyml.core.errors import MissingExtraError
from tinyml.core.files import write_text
from tinyml.core.text import printable
from tinyml.pages.report.content import Bar, Cell, Page, Table
from tinyml.pages.tables import is_number

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).parent
TEMPLATE, STYLE = "page.html.j2", "style.css"
# Columns of a table that fit on a phone, and letters of a cell in a third of one.
MOST_COLUMNS, BRIEF = 2, 14


def write_page(page: Page, path: Path) -> None:
    """Write ``page`` to ``path``; the file that was there stays until the new one is whole.

    Raises `MissingExtraError` without Jinja2, `MachineError` where it cannot be written.
    """
    write_text(path, html(page))


def html(page: Page) -> str:
    """``page`` as HTML."""
    style = (FOLDER / STYLE).read_text(encoding="utf-8")
    return _environment().get_template(TEMPLATE).render(page=page, style=style, policy=csp(style))


def csp(style: str) -> str:
    """The Content-Security-Policy of a page whose one style sheet is ``style``."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; media-src data:; "
        f"style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@functools.cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtraError("jinja2", "report") from error
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters.update(code=_code, data_uri=_data_uri, numeric=_numeric)
    made.filters.update(layout=_layout, width=_width)
    # Only what `tinyml.pages.report.svg` made, whose text XML has escaped.
    made.filters["drawn"] = Markup
    made.filters["sheet"] = Markup
    return made


def _visible(value: Any) -> Any:
    """Control characters and broken Unicode of names, escaped; markup as it is."""
    return printable(value) if type(value) is str else value


def _code(text: str) -> Markup:
    """``text`` with what stands in backticks as code; an odd backtick is one."""
    from markupsafe import Markup

    parts = printable(text).split("`")
    if len(parts) % 2 == 0:
        return Markup.escape("`".join(parts))
    tags = ("{}", "<code>{}</code>")
    return Markup("").join(Markup(tags[i % 2]).format(part) for i, part in enumerate(parts) if part)


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _layout(table: Table) -> Markup:
    """The class of a table: on a phone a row of many columns is a card, `_width` of its cells."""
    from markupsafe import Markup

    name = "matrix" if table.matrix else "cards" if len(table.head) > MOST_COLUMNS else ""
    return Markup(' class="{}"').format(name) if name else Markup()


def _width(cell: Cell) -> str:
    """Whether other cells fit next to ``cell`` in a card."""
    text = cell if isinstance(cell, str) else cell.text
    return "brief" if len(text) <= BRIEF and not isinstance(cell, Bar) else "long"


def _numeric(column: int, rows: list[list[Cell]]) -> bool:
    """Whether every cell of ``column`` is a number, which is aligned to the right."""
    cells = [row[column] for row in rows]
    texts = [cell if isinstance(cell, str) else "x" for cell in cells if not isinstance(cell, Bar)]
    return bool(texts) and all(map(is_number, texts))
