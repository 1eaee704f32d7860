"""Options of the command line, made from the declarations of `tinyml.core.settings`.

A setting that a recipe can hold has a ``--no-NAME`` next to it, which takes the recipe's value
back. Those are not listed in the help text one by one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer
from typer.core import TyperCommand

from tinyml.core.export_job import ExportJob
from tinyml.core.export_settings import ExportSettings
from tinyml.core.settings import Setting, flag_of, required, settings_of, types_of

OFF = "no_"
_METAVARS = {str: "TEXT", int: "COUNT", float: "NUMBER", Path: "PATH"}
# `name` or `name=value`.
_NAMED = re.compile(r"`([a-z_0-9]+)(?:=([^`]*))?`")


def parameters(*kinds: type, can_be_off: Collection[type] = ()) -> list[inspect.Parameter]:
    """Parameters of a command for the settings of ``kinds``, in their order.

    Those of the kinds in ``can_be_off`` have their hidden ``--no-NAME`` too.
    """
    found = []
    for kind in kinds:
        needed = required(kind)
        for name, own in settings_of(kind).items():
            text = with_flags(help_text(own, types_of(kind)[name]), *kinds)
            found.append(_parameter(name, own, types_of(kind)[name], text, name in needed))
            if kind in can_be_off:
                found.append(_off_parameter(name, own))
    return found


def chosen(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> value for the options of ``kind`` that the command line gives."""
    found = {}
    for name, own in settings_of(kind).items():
        value = values[name]
        if isinstance(value, list | tuple):
            parts = [part for text in value for part in _split(text, own)]
            value = tuple(parts) if value else None
        if value is not None and value is not False:
            found[name] = value
    return found


def switched_off(kind: type, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the settings of ``kind`` whose ``--no-NAME`` the command line gives."""
    return tuple(name for name in settings_of(kind) if values.get(OFF + name))


def with_flags(text: str, *kinds: type) -> str:
    """``text`` with each `` `name` `` of a setting of ``kinds`` as its option.

    `` `name=value` `` becomes ``--name value``, and `` `name=None` `` ``--no-name``.
    """
    known = {name: flag_of(name, own) for kind in kinds for name, own in settings_of(kind).items()}

    def flag(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in known:
            return match.group()
        if value == "None":
            return known[name].replace("--", "--no-", 1)
        return known[name] if value is None else f"{known[name]} {value}"

    return _NAMED.sub(flag, text)


def export_flags(text: str) -> str:
    """``text`` with each setting of an export as its option of `tinyml export`."""
    return with_flags(text, ExportSettings, ExportJob)


class PanelCommand(TyperCommand):
    """A command whose help text lists options under the heading of their panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments first, then options without a panel, then each panel in its order."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None) or (
                    "Arguments" if parameter.param_type_name == "argument" else "Options"
                )
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def _split(text: str, own: Setting) -> list[str]:
    if not own.separator:
        return [text]
    return [part.strip() for part in text.split(own.separator)]


def help_text(own: Setting, kind: Any) -> str:
    """The declared help with the values, the default, and whether it is given several times."""
    parts = []
    if own.values and isinstance(own.default, str):
        marks = [f"{value} (default)" if value == own.default else value for value in own.values]
        parts.append(f"{', '.join(marks)}.")
    elif own.values:
        parts.append(f"{', '.join(own.values)}.")
    parts.append(own.help)
    if isinstance(own.default, int | float) and not isinstance(own.default, bool):
        parts.append(f"Default: {own.default:g}.")
    if get_origin(kind) is tuple:
        parts.append("Comma-separated." if own.separator else "Repeatable.")
    if own.separator and own.default:
        parts.append(f"Default: {own.separator.join(own.default)}.")
    return " ".join(parts)


def _parameter(name: str, own: Setting, kind: Any, text: str, required: bool) -> inspect.Parameter:
    plain = list[str] if get_origin(kind) is tuple else kind
    metavar = None if kind is bool else own.metavar or _METAVARS.get(kind, "TEXT")
    option = typer.Option(
        flag_of(name, own),
        help=text,
        metavar=metavar,
        rich_help_panel=own.panel or None,
        show_default=False,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else (False if kind is bool else None),
        annotation=Annotated[plain if required or kind is bool else plain | None, option],
    )


def _off_parameter(name: str, own: Setting) -> inspect.Parameter:
    flag = flag_of(name, own).replace("--", "--no-", 1)
    option = typer.Option(flag, hidden=True)
    return inspect.Parameter(
        OFF + name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, option],
    )
