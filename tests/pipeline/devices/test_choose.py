"""``--device`` and ``--tag`` name devices, each once; a bundle for another target is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tinyml.core.device import THIS_MACHINE, Device
from tinyml.core.errors import DeviceError, UsageError
from tinyml.pipeline.devices.choose import check_target, choose_device, choose_devices
from tinyml.pipeline.devices.inventory import save_device


@pytest.fixture(autouse=True)
def three_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name, tags in {"pi4": ("lab", "hot"), "pi5": ("lab",), "pixel": ()}.items():
        save_device(Device(name=name, link="emulated", target="rpi4", tags=tags))


def names(**asked: str) -> list[str]:
    return [device.name for device in choose_devices(**asked)]


def test_without_a_name_it_is_this_machine() -> None:
    assert choose_devices() == (THIS_MACHINE,)
    assert choose_device("host") == THIS_MACHINE


def test_names_keep_their_order_and_count_once() -> None:
    assert names(names="pixel, pi4,pixel,") == ["pixel", "pi4"]
    assert names(tag="lab") == ["pi4", "pi5"]
    assert names(names="pi5,host", tag="lab") == ["pi5", "host", "pi4"]
    assert choose_device("pi5").name == "pi5"


def test_unknown_names_and_tags_get_a_suggestion() -> None:
    for asked, hint in [
        ({"names": "pi4,pie5"}, "did you mean 'pi5'?"),
        ({"tag": "labs"}, "did you mean 'lab'?"),
        ({"names": " , "}, "known: pi4, pi5, pixel"),
    ]:
        with pytest.raises(UsageError) as got:
            choose_devices(**asked)
        assert got.value.hint == hint
    with pytest.raises(UsageError, match="'pi4,pi5' are 2 devices: this command takes one"):
        choose_device("pi4,pi5")


def test_a_tag_where_no_device_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="unknown tag 'lab': no device has a tag"):
        choose_devices(tag="lab")
    with pytest.raises(UsageError) as got:
        choose_devices(",")
    assert got.value.hint == "tinyml device add NAME ADDRESS"


@pytest.mark.parametrize(
    ("made_for", "target"),
    [("rpi", "rpi4"), ("rpi4", "rpi"), ("mine", "/boards/mine.toml"), ("rpi5", "rpi5")],
)
def test_a_bundle_for_the_devices_target_is_accepted(made_for: str, target: str) -> None:
    bundle: Any = SimpleNamespace(target=made_for, folder=Path("demo"))
    check_target(bundle, Device(name="pi4", link="emulated", target=target))


def test_a_bundle_for_another_target_is_refused_with_both_names() -> None:
    bundle: Any = SimpleNamespace(target="rpi", folder=Path("demo"))
    with pytest.raises(DeviceError) as got:
        check_target(bundle, Device(name="pi5", link="emulated", target="rpi5"))
    assert got.value.exit_code == 4
    assert got.value.message == "demo was made for rpi4, and pi5 is recorded as rpi5"
    assert "--target rpi5" in got.value.hint
    check_target(bundle, THIS_MACHINE)
