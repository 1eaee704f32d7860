"""Bundles on a device: whole or not at all, in use at once, and back again."""

from __future__ import annotations

import errno
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Done
from device_faults import record
from fake_board import PI4, FakeBoard

from tinyml.board_scripts.agent.errors import AgentError
from tinyml.board_scripts.agent.install import bundles, install, rollback
from tinyml.board_scripts.agent.main import main
from tinyml.core import bundle as bundles_
from tinyml.core.device import Device
from tinyml.core.errors import DeviceError, InputError, UsageError, ValidationError
from tinyml.core.events import silent
from tinyml.core.files import sha256
from tinyml.pipeline.devices.install import install_bundle, installed_bundles, roll_back
from tinyml.pipeline.devices.inventory import save_device
from tinyml.pipeline.devices.service import check_service

Cli = Callable[..., Done]
GOLDEN = Path(__file__).parents[2] / "golden" / "bundle"


@pytest.fixture
def pi(board: FakeBoard) -> FakeBoard:
    save_device(Device(name="mypi", link="ssh", address="pi", target="rpi4"))
    return board


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    """Three bundles called ``demo``, which differ in their manifests."""
    made, manifest = [], json.loads((GOLDEN / "manifest.json").read_text())
    for number in range(3):
        folder = tmp_path / f"v{number}" / "demo"
        folder.mkdir(parents=True)
        manifest["files"]["listen.py"] = {}
        for name, listed in manifest["files"].items():
            (folder / name).write_text(name)
            listed.update(size=len(name), sha256=sha256(folder / name))
        (folder / "manifest.json").write_text(json.dumps({**manifest, "model": f"m{number}"}))
        made.append(folder)
    return made


def digest(folder: Path) -> str:
    return sha256(folder / "manifest.json")[:16]


def put(folder: Path, archive: Path) -> dict[str, Any]:
    """What the agent does on the board, with ``folder`` as an archive."""
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.iterdir():
            opened.write(path, path.name)
    return install("demo", sha256(folder / "manifest.json"), str(archive))


def test_a_version_takes_the_place_of_another_and_goes_back(
    pi: FakeBoard, versions: list[Path], tmp_path: Path
) -> None:
    own = pi.home / ".tinyml" / "bundles" / "demo"
    for folder in versions:
        put(folder, tmp_path / "a.zip")
    _, two, three = map(digest, versions)
    assert sorted(os.listdir(own)) == sorted([two, three, "current", "previous"])
    assert rollback("demo")["bundle"]["current"] == two
    assert (own / "current").readlink() == Path(two)
    assert rollback("demo")["bundle"]["previous"] == two
    (found,) = bundles()["bundles"]
    assert (found["name"], found["current"], found["previous"]) == ("demo", three, two)
    assert found["bytes"] == sum(path.stat().st_size for path in versions[2].iterdir())


def test_a_version_that_is_there_is_used_if_it_is_whole(
    pi: FakeBoard, versions: list[Path], tmp_path: Path
) -> None:
    for folder in versions[:2]:
        put(folder, tmp_path / "a.zip")
    whole = sha256(versions[0] / "manifest.json")
    found = install("demo", whole, "")
    assert found["bundle"]["current"] == digest(versions[0])
    assert found["bundle"]["previous"] == digest(versions[1])
    (Path(found["folder"]) / "labels.txt").write_text("changed there")
    assert install("demo", whole, "")["folder"] == ""
    assert (Path(put(versions[0], tmp_path / "a.zip")["folder"]) / "labels.txt").read_text() == (
        "labels.txt"
    )


def test_what_is_changed_on_its_way_is_not_used(
    pi: FakeBoard, versions: list[Path], tmp_path: Path
) -> None:
    put(versions[0], tmp_path / "a.zip")
    (versions[1] / "labels.txt").write_text("changed")
    with pytest.raises(AgentError, match=r"labels\.txt is not the file that was sent"):
        put(versions[1], tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:-30])
    own = pi.home / ".tinyml" / "bundles" / "demo"
    assert sorted(os.listdir(own)) == sorted([digest(versions[0]), "current"])
    (own / "half.tmp").mkdir()
    put(versions[0], tmp_path / "a.zip")
    assert sorted(os.listdir(own)) == sorted([digest(versions[0]), "current"])


def test_a_full_disk_leaves_the_old_version(
    pi: FakeBoard,
    versions: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(versions[0], tmp_path / "a.zip")

    def full(archive: zipfile.ZipFile, folder: str) -> None:
        (Path(folder) / "half").touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{folder}/model")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with zipfile.ZipFile(tmp_path / "b.zip", "w"):
        pass
    assert main(["install", "demo", "0" * 64, str(tmp_path / "b.zip")]) == 1
    line = json.loads(capsys.readouterr().out)
    assert line["hint"] == "free some space on the board"
    own = pi.home / ".tinyml" / "bundles" / "demo"
    assert sorted(os.listdir(own)) == sorted([digest(versions[0]), "current"])
    record(
        "copying files",
        "disk full while a bundle is installed",
        (f"mypi: {line['error']}", DeviceError.exit_code),
        board="the version that was in use",
        host="nothing",
        names={str(own): "demo"},
    )


def test_the_verbs(pi: FakeBoard, versions: list[Path], tmp_path: Path, cli: Cli) -> None:
    put(versions[0], tmp_path / "a.zip")
    own = pi.home / ".tinyml" / "bundles" / "demo"
    done = cli("device", "install", versions[1], "mypi")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"demo on mypi: version {digest(versions[1])} is in use, in {own}/current\n"
    )
    for path in versions[1].iterdir():
        assert (own / "current" / path.name).read_bytes() == path.read_bytes()
    done = cli("device", "rollback", "demo", "mypi")
    assert f"version {digest(versions[0])} is in use" in done.stdout
    assert "tinyml device rollback demo mypi" in done.stderr
    (row,) = cli("device", "list", "mypi").stdout.splitlines()[1:]
    assert row.split()[:3] == ["demo", digest(versions[0]), digest(versions[1])]


def test_refusals_come_before_the_copy(pi: FakeBoard, versions: list[Path]) -> None:
    (versions[2] / "labels.txt").write_text("changed")
    with pytest.raises(ValidationError, match=r"labels.txt was changed"):
        install_bundle(versions[2], "mypi", silent)
    for called in ("my demo", ".", ".."):
        with pytest.raises(
            UsageError, match=f"'{re.escape(called)}' is not a name for a bundle there"
        ) as got:
            install_bundle(versions[0], "mypi", silent, called=called)
        assert "--as" in got.value.hint
    pi.facts = replace(PI4, packages={})
    with pytest.raises(DeviceError, match=r"mypi cannot run .*demo: .* not installed there") as no:
        install_bundle(versions[0], "mypi", silent)
    assert "tinyml device check mypi" in no.value.hint
    save_device(Device(name="pi5", link="ssh", address="pi", target="rpi5"))
    with pytest.raises(DeviceError, match="was made for rpi4, and pi5 is recorded as rpi5") as made:
        install_bundle(versions[0], "pi5", silent)
    assert not (pi.home / ".tinyml").exists()
    names = {str(versions[0]): "demo"}
    record(
        "preparing the board",
        "bundle for another target",
        made.value,
        board="nothing",
        host="nothing",
        names=names,
    )


def test_without_a_previous_version_there_is_no_way_back(
    pi: FakeBoard, versions: list[Path], tmp_path: Path, cli: Cli
) -> None:
    assert "no bundle is installed on mypi" in cli("device", "list", "mypi").stderr
    with pytest.raises(AgentError, match="other is not installed") as got:
        rollback("other")
    assert got.value.hint == "no bundle is installed on the board"
    put(versions[0], tmp_path / "a.zip")
    with pytest.raises(AgentError) as named:
        rollback("other")
    assert named.value.hint == "installed: demo"
    with pytest.raises(DeviceError, match="mypi: demo has no previous version"):
        roll_back("demo", "mypi", silent)


def test_a_phone_installs_nothing(board: FakeBoard) -> None:
    save_device(Device(name="pixel", link="adb", address="0123", target="android"))
    with pytest.raises(DeviceError, match="device list is not supported on Android yet"):
        installed_bundles("pixel")


@pytest.fixture
def systemctl(pi: FakeBoard, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a board's systemctl was called with; it fails where the file ``broken`` is there."""
    programs, calls = pi.folder / "bin", pi.folder / "calls"
    programs.mkdir()
    (programs / "systemctl").write_text(
        f'#!/bin/sh\necho "$@" >>"{calls}"\n[ ! -e "{pi.folder}/broken" ] || '
        "{ echo no bus >&2; exit 1; }\n"
    )
    (programs / "loginctl").write_text("#!/bin/sh\necho no\n")
    for path in programs.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return calls


def test_a_service_listens_and_starts_anew_with_each_version(
    pi: FakeBoard, versions: list[Path], systemctl: Path, cli: Cli
) -> None:
    recorder = 'arecord -q -t raw -f S16_LE -r 4000 -D "plug:50%$x"'
    done = cli("device", "install", versions[0], "mypi", "--service", recorder)
    assert done.returncode == 0, done.stderr
    assert "journalctl --user -fu tinyml-demo.service" in done.stderr
    assert "sudo loginctl enable-linger" in done.stderr
    unit = pi.folder.parent / "config" / "systemd" / "user" / "tinyml-demo.service"
    assert (
        'ExecStart="/usr/bin/python3" %h/.tinyml/bundles/demo/current/listen.py '
        '--capture "arecord -q -t raw -f S16_LE -r 4000 -D \\"plug:50%%$$x\\""\n'
    ) in unit.read_text()
    put(versions[1], pi.folder / "a.zip")
    roll_back("demo", "mypi", silent)
    assert systemctl.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable tinyml-demo.service",
        "--user restart tinyml-demo.service",
        "--user try-restart tinyml-demo.service",
    ]
    (pi.folder / "broken").touch()
    with pytest.raises(DeviceError, match=r"does not start tinyml-demo\.service: no") as got:
        roll_back("demo", "mypi", silent)
    assert "systemctl --user enable --now tinyml-demo.service" in got.value.hint


def test_a_service_needs_a_recorder_and_the_script(pi: FakeBoard, versions: list[Path]) -> None:
    with pytest.raises(UsageError, match="is not the command of a recorder"):
        install_bundle(versions[0], "mypi", silent, capture="arecord\nExecStart=other")
    bundle = replace(bundles_.read(versions[0]), files={})
    with pytest.raises(InputError, match=r"holds no listen\.py"):
        check_service(bundle, "arecord")
