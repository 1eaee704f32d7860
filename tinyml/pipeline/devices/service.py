"""A systemd user service on a board: an installed bundle that listens from the board's start on."""

from __future__ import annotations

from tinyml.board_scripts import LISTEN
from tinyml.core.bundle import Bundle
from tinyml.core.check_listens import check_listens
from tinyml.core.errors import DeviceError, InputError, UsageError
from tinyml.core.events import Report, Warned
from tinyml.device.agent import Agent
from tinyml.device.link import CommandResult, Link

TIMEOUT_S = 60.0
# Without a login on the board, a shell does not know where the user's systemd is.
SYSTEMCTL = 'XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}" exec systemctl --user "$@"'
# A user's services else end with the user's last session.
LINGER = "sudo loginctl enable-linger $(id -un)"
LINGERS = 'loginctl show-user "$(id -un)" --property=Linger --value'
UNIT = """\
[Unit]
Description=tinyml listens with {name}

[Service]
ExecStart={python} {script} --capture {capture}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
"""


def check_service(bundle: Bundle, capture: str) -> None:
    """Raise `InputError` for a model that does not listen, `UsageError` if it is not a command."""
    check_listens(bundle)
    if LISTEN[0].name not in bundle.files:
        raise InputError(f"{bundle.folder} holds no {LISTEN[0].name}", hint="export it again")
    if not capture.strip() or not capture.isprintable():
        raise UsageError(
            f"'{capture}' is not the command of a recorder",
            hint="for example: arecord -q -t raw -f S16_LE -r 4000",
        )


def unit_text(name: str, capture: str, python: str) -> str:
    """The unit of the bundle ``name``; ``python``: its path on the board."""
    return UNIT.format(
        name=name,
        python=_word(python),
        script=f"%h/.tinyml/bundles/{name}/current/{LISTEN[0].name}",
        capture=_word(capture),
    )


def start_service(agent: Agent, name: str, capture: str, python: str, report: Report) -> str:
    """Write the unit of the bundle ``name``, and let it run now and after each start of the board.

    Returns its name. Raises `DeviceError` where systemd does not start it.
    """
    text = unit_text(name, capture, python)
    unit: str = agent.call("service", name, text)["unit"]
    for command in (["daemon-reload"], ["enable", unit], ["restart", unit]):
        _require(_systemctl(agent.link, command), agent.link, unit)
    lingers = agent.link.run(["sh", "-c", LINGERS], timeout_s=TIMEOUT_S)
    if lingers.stdout.strip() != "yes":
        where = agent.link.name
        report(Warned(f"{unit} ends with your last session on {where}; on the board: {LINGER}"))
    return unit


def restart(link: Link, unit: str) -> None:
    """Let ``unit`` start anew if it runs; nothing without one."""
    if unit:
        _require(_systemctl(link, ["try-restart", unit]), link, unit)


def _systemctl(link: Link, command: list[str]) -> CommandResult:
    return link.run(["sh", "-c", SYSTEMCTL, "sh", *command], timeout_s=TIMEOUT_S)


def _require(result: CommandResult, link: Link, unit: str) -> None:
    if result.code != 0:
        raise DeviceError(
            f"{link.name}: the bundle is installed, and systemd does not start {unit}: "
            f"{result.last_line}",
            hint=f"on the board: {LINGER}; systemctl --user enable --now {unit}",
        )


def _word(text: str) -> str:
    """``text`` as one word of a unit's command line, in which systemd replaces nothing."""
    for letter, written in {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"}.items():
        text = text.replace(letter, written)
    return f'"{text}"'
