"""Matplotlib's SVG as a part of a page: no styles of its own, colours from the page's theme.

A Content-Security-Policy forbids ``style`` attributes, so each becomes presentation attributes,
and each colour of `COLOURS` a class of the style sheet, which has a light and a dark value of it.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tinyml.core.errors import InternalError
from tinyml.pages.plots import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn in these, shown in the theme's: the name is the class.
COLOURS = {
    "ink": "#1b1f24",
    "soft": "#5d6670",
    "line": "#d9dde2",
    "paper": "#fefefe",
    "bad": "#b3372a",
    "one": "#2b5c9f",
    "two": "#c2562d",
    "three": "#2f7d5b",
    "four": "#7d55a3",
    "five": "#9a6f17",
    "six": "#3d7f8c",
}
INK, SOFT, LINE, PAPER = (COLOURS[name] for name in ("ink", "soft", "line", "paper"))
BAD = COLOURS["bad"]
SERIES = tuple(COLOURS[name] for name in ("one", "two", "three", "four", "five", "six"))
# Tell series apart where colours do not.
MARKS = "osD^v<>P"
# Units of a drawing are CSS pixels at its natural size.
WIDE, NARROW = 720, 328
FONT = 12.0
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": FONT,
    "axes.labelsize": FONT,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": FONT,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.color": LINE,
    "grid.linewidth": 1.0,
    "legend.frameon": False,
    "legend.fontsize": FONT,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
}
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_NAMES = {colour: name for name, colour in COLOURS.items()}
# Not the reader's: fonts, and what every browser does anyway.
_DROPPED = {"font-family", "stroke-dashoffset"}
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"#([\w.-]+)")

# Draws into an empty figure of the given width.
Draw = Callable[["Figure", int], None]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing for wide screens and one for phones, drawn when they are asked for.

    name    tells the chart's ids from those of others on the page
    alt     what it shows, for those who cannot see it
    height  in pixels, or that of the wide and that of the narrow one

    Both raise `MissingExtraError` without matplotlib.
    """

    kind: ClassVar = "chart"
    name: str
    draw: Draw
    title: str
    alt: str
    height: int | tuple[int, int]
    note: str = ""

    @property
    def wide(self) -> str:
        """SVG, `WIDE` pixels wide."""
        height = self.height if isinstance(self.height, int) else self.height[0]
        return _svg(f"{self.name}-w", self.draw, WIDE, height)

    @property
    def narrow(self) -> str:
        """SVG, `NARROW` pixels wide: text of a wide one that is scaled down cannot be read."""
        height = self.height if isinstance(self.height, int) else self.height[1]
        return _svg(f"{self.name}-n", self.draw, NARROW, height)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """A row for each of ``names``, the first on top, without lines along them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def _svg(name: str, draw: Draw, width: int, height: int) -> str:
    with drawing(), warnings.catch_warnings():
        # The reader's fonts draw the text, not matplotlib's: what that lacks does not matter.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": name})
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        draw(figure, width)
        content = io.BytesIO()
        figure.savefig(content, format="svg", dpi=144, metadata={"Date": None, "Creator": None})
    return themed(content.getvalue().decode(), name)


def themed(svg: str, name: str) -> str:
    """``svg`` of matplotlib without styles, ids that nothing uses, and sizes; ids get ``name``."""
    root = ET.fromstring(svg)
    used = {found for own in root.iter() for value in own.attrib.values() for found in _ids(value)}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    for own in root.iter():
        _theme(own, name, used)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    return ET.tostring(root, encoding="unicode")


def _theme(own: ET.Element, name: str, used: set[str]) -> None:
    own.tag = own.tag.removeprefix(_SVG)
    own.text, own.tail = (own.text or "").strip() if own.tag != "text" else own.text, None
    found: dict[str, str] = {}
    for key, value in own.attrib.items():
        key = key.removeprefix(_XLINK)
        if key == "style":
            found.update(_attributes(value))
        elif key == "id":
            found |= {"id": f"{name}-{value}"} if value in used else {}
        elif value.startswith("data:"):
            found[key] = value.replace("\n", "")
        elif key != "transform" or not value.startswith("rotate(-0 "):
            found[key] = _REFERENCE.sub(rf"#{name}-\1", _NUMBER.sub(_rounded, value))
    own.attrib.clear()
    own.attrib.update({key: " ".join(value.split()) for key, value in found.items()})


def _ids(value: str) -> Iterator[str]:
    if "#" in value and not value.startswith("data:"):
        yield from _REFERENCE.findall(value)


def _attributes(style: str) -> dict[str, str]:
    """Presentation attributes of a style; colours as classes."""
    found: dict[str, str] = {}
    classes = []
    for declaration in style.split("; "):
        key, _, value = declaration.partition(": ")
        if key in ("fill", "stroke") and value.startswith("#"):
            if value not in _NAMES:
                raise InternalError(f"a chart is drawn in {value}, which no theme has")
            classes.append(f"{key}-{_NAMES[value]}")
        elif key not in _DROPPED:
            found[key] = _NUMBER.sub(_rounded, value)
    return {**found, "class": " ".join(classes)} if classes else found


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
