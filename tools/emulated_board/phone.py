"""The programs of Android that an emulated phone has, as shell scripts, and its state as files.

A test changes the state: ``thermal`` holds Android's thermal status, ``battery`` what
``dumpsys battery`` prints, ``settings/NAME`` a global setting, ``fixed`` what the fixed performance
mode was set to last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tinyml.core.files import write_text

PROPERTIES = {
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.model": "Emulated Phone",
    "ro.soc.model": "EM-76",
    "ro.build.version.sdk": "34",
    "ro.build.version.release": "14",
}
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  present: true
  level: 81
  scale: 100
  voltage: 4190
  temperature: 284
  technology: Li-ion
"""
_SCRIPTS = {
    "dumpsys": """case $1 in
battery) cat "$state/battery" ;;
thermalservice) echo "IsStatusOverride: false"; echo "Thermal Status: $(cat "$state/thermal")" ;;
*) echo "Can't find service: $1"; exit 1 ;;
esac""",
    "settings": """file=$state/settings/$3
case $1 in
get) cat "$file" 2>/dev/null || echo null ;;
put) echo "$4" > "$file" ;;
delete) rm -f "$file"; echo "Deleted 1 rows" ;;
esac""",
    "svc": """[ "$1 $2 $3" = "power stayon usb" ] || exit 1
echo 2 > "$state/settings/stay_on_while_plugged_in" """,
    "cmd": """[ "$1 $2" = "power set-fixed-performance-mode-enabled" ] || exit 255
echo "$3" > "$state/fixed" """,
}


def write_programs(
    folder: Path, state: Path, *, there: str, properties: Mapping[str, str] = PROPERTIES
) -> None:
    """Fill ``folder`` with scripts, which read the state at the path ``there`` of the phone."""
    cases = "".join(f"{name}) echo '{value}' ;;\n" for name, value in properties.items())
    scripts = {"getprop": f"case $1 in\n{cases}*) echo ;;\nesac", **_SCRIPTS}
    for name, text in scripts.items():
        path = folder / name
        write_text(path, f"#!/bin/sh\nstate='{there}'\n{text.strip()}\n")
        path.chmod(0o755)
    write_text(state / "battery", BATTERY)
    write_text(state / "thermal", "0\n")
    write_text(state / "settings" / "low_power", "0\n")
