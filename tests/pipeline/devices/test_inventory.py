"""The inventory is one checked file; two commands that change it lose nothing."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyml.core.device import Device
from tinyml.core.errors import InputError, UsageError
from tinyml.pipeline.devices import inventory
from tinyml.pipeline.devices.inventory import (
    inventory_file,
    read_devices,
    remove_device,
    save_device,
)

PI = Device(name="mypi", link="local", address="pi@host:22", target="rpi4", tags=("lab", "hot"))


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "my config"))
    return tmp_path / "my config" / "tinyml" / "devices.toml"


def test_there_is_no_device_before_the_first_is_added(own_file: Path) -> None:
    assert inventory_file() == own_file
    assert read_devices() == {}
    assert not own_file.exists()
    with pytest.raises(UsageError, match="no device was added yet") as got:
        remove_device("mypi")
    assert got.value.hint == "tinyml device add NAME ADDRESS"


def test_what_is_saved_is_read(own_file: Path) -> None:
    phone = Device(name="my.phone", link="local", target="android", python='a "b" \\ ü\x7f')
    emulator = Device(name="qemu", link="ssh", address="localhost:2222", emulated=True)
    save_device(PI)
    save_device(phone)
    save_device(emulator)
    assert list(read_devices().values()) == [PI, phone, emulator]
    remove_device("qemu")
    assert '[mypi]\nlink = "local"\naddress = "pi@host:22"\n' in own_file.read_text()
    remove_device("mypi")
    assert read_devices() == {"my.phone": phone}
    assert sorted(os.listdir(own_file.parent)) == ["devices.toml"]


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_written_as_toml(text: str) -> None:
    import tomllib

    from tinyml.core.toml_text import toml_key, toml_lines

    written = "\n".join([f"[{toml_key(text)}]", *toml_lines({text: [text, text]})])
    assert tomllib.loads(written) == {text: {text: [text, text]}}


def test_a_name_that_is_taken_is_replaced_only_when_asked() -> None:
    save_device(PI)
    with pytest.raises(UsageError, match="there is a device 'mypi': local pi@host:22") as got:
        save_device(PI)
    assert "--force" in got.value.hint
    save_device(Device(name="mypi", link="local"), replace=True)
    assert read_devices()["mypi"].address == ""


@pytest.mark.parametrize(
    "name", ["", "my pi", "-pi", "pi,4", "$(id)", "pi\n4", "pï", "a/b", ".", ".."]
)
def test_a_name_is_letters_digits_and_three_signs(name: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a device") as got:
        save_device(Device(name=name, link="local"))
    assert got.value.hint == "use letters, digits, '-', '_' and '.'"
    with pytest.raises(UsageError, match="is not a name for a tag"):
        save_device(Device(name="pi", link="local", tags=(name,)))
    assert read_devices() == {}


def test_the_name_of_this_machine_is_reserved() -> None:
    with pytest.raises(UsageError, match="'host' is this machine"):
        save_device(Device(name="host", link="local"))


def test_an_unknown_name_gets_a_suggestion() -> None:
    save_device(PI)
    with pytest.raises(UsageError, match="unknown device 'mypy'") as got:
        remove_device("mypy")
    assert got.value.hint == "did you mean 'mypi'?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mypi", "Expected ']'"),
        ("mypi = 3", "'mypi' is not a device: write [mypi]"),
        ('[mypi]\nname = "other"', "no key is called 'name'"),
        ('[mypi]\nlink = "local"\nadress = "pi"', "no key is called 'adress'"),
        ("[mypi]\nlink = 3", "link: expected `str`, got `int`"),
        ("[mypi]\ntags = []", "object missing required field 'link'"),
        ('[mypi]\nlink = "serial"', "unknown link 'serial'"),
        ('["my pi"]\nlink = "local"', "'my pi' is not a name for a device"),
        ("\xff", "can't decode byte"),
    ],
)
def test_a_damaged_file_is_named(own_file: Path, text: str, message: str) -> None:
    own_file.parent.mkdir(parents=True)
    own_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as got:
        read_devices()
    assert got.value.exit_code == 3
    assert message in got.value.message
    assert "devices.toml" in got.value.message
    assert "\n" not in got.value.message
    with pytest.raises(InputError):
        save_device(PI)
    assert own_file.read_bytes() == text.encode("latin-1")


def _save(number: int) -> None:
    inventory.save_device(Device(name=f"pi{number}", link="local"))


def test_commands_at_the_same_time_lose_nothing() -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_save, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(read_devices()) == [f"pi{number}" for number in range(4)]
