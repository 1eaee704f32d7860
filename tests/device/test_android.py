from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from phones import ShellPhone, shell_phone

from tinyml.core.averages import PhoneState, thermal_text
from tinyml.core.errors import DeviceError
from tinyml.device.android import (
    CoreGroup,
    _groups,
    check_copied,
    phone_facts,
    phone_state,
    settings_for_timing,
)
from tinyml.device.link import CommandResult

FIXED, STAY_ON = "fixed", "settings/stay_on_while_plugged_in"


class Shell:
    """A phone that answers every command with the same; ``asked`` are the commands."""

    name = "pixel"

    def __init__(self, answer: CommandResult) -> None:
        self.answer, self.asked = answer, [""]

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        self.asked.append(" ".join(command))
        return self.answer


@pytest.fixture
def phone(tmp_path: Path) -> ShellPhone:
    return shell_phone(tmp_path)


def test_a_phone_tells_what_it_is(phone: ShellPhone) -> None:
    found = phone_facts(phone.link)
    assert (found.abi, found.model, found.soc) == ("x86_64", "Emulated Phone", "EM-76")
    assert found.system == "Android 14 (API 34)"
    assert found.page_bytes in (4096, 16384, 65536)
    assert found.free_disk_kb is not None
    assert found.free_disk_kb > 0
    assert (found.memory_kb or 0) > (found.free_memory_kb or 0) > 0
    assert found.state == PhoneState(0, 81, 28_400, False, True)


def test_what_a_phone_does_not_tell_is_unknown(tmp_path: Path) -> None:
    phone = shell_phone(tmp_path, properties={})
    for name in ("battery", "thermal", "settings/low_power"):
        (phone.state / name).unlink()
    found = phone_facts(phone.link)
    assert (found.abi, found.model, found.soc, found.sdk, found.system) == (None,) * 5
    assert found.state == phone_state(phone.link) == PhoneState()


def test_a_phone_without_a_shell_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match="pixel runs no shell: it ended 127: sh: not found"):
        phone_state(Shell(CommandResult(127, "", "sh: not found\n")))  # type: ignore[arg-type]


def test_cores_are_grouped_by_their_highest_clock() -> None:
    text = "0 1803000\n1 1803000\n2 2348000\n10 2850000\n3 2348000\n4"
    assert _groups(text) == (
        CoreGroup(2_850_000, (10,)),
        CoreGroup(2_348_000, (2, 3)),
        CoreGroup(1_803_000, (0, 1)),
        CoreGroup(None, (4,)),
    )


def test_a_phone_is_described_in_words(phone: ShellPhone) -> None:
    found = replace(phone_facts(phone.link), groups=(CoreGroup(2_850_000, (4, 5)),))
    assert found.condition == {
        "cores": "4 5 at 2.85 GHz",
        "thermal": "status 0 (none)",
        "battery": "81% at 28 °C, charging, battery saver off",
    }
    unknown = replace(found, groups=(CoreGroup(None, (0,)),), state=PhoneState())
    assert list(unknown.condition.values()) == [
        "0 at an unknown clock",
        "status unknown",
        "unknown, battery saver unknown",
    ]


def test_battery_saver_and_throttling_disturb_and_unknown_does_not() -> None:
    assert PhoneState(thermal_status=2).disturbs == (
        "the phone throttles: thermal status 2 (moderate)"
    )
    assert PhoneState(0, low_power=True).disturbs == "the battery saver is on"
    assert PhoneState().disturbs == PhoneState(0, low_power=False).disturbs == ""
    assert [thermal_text(own) for own in (None, 0, 9)] == ["unknown", "0 (none)", "9"]


@pytest.mark.parametrize("before", [None, "3"])
def test_settings_are_set_and_restored(phone: ShellPhone, before: str | None) -> None:
    if before is not None:
        phone.set(STAY_ON, before)
    with settings_for_timing(phone.link, phone_facts(phone.link)) as settings:
        assert settings.done == ["fixed performance mode", "screen stays on"]
        assert (phone.read(FIXED), phone.read(STAY_ON)) == ("true", "2")
    assert (phone.read(FIXED), phone.read(STAY_ON)) == ("false", before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, DeviceError("gone")])
def test_settings_are_restored_after_errors_and_interruptions(
    phone: ShellPhone, error: BaseException | type[BaseException]
) -> None:
    facts = phone_facts(phone.link)
    with pytest.raises((KeyboardInterrupt, DeviceError)), settings_for_timing(phone.link, facts):
        raise error
    assert (phone.read(FIXED), phone.read(STAY_ON)) == ("false", None)


def test_a_phone_older_than_android_11_has_no_fixed_performance_mode(phone: ShellPhone) -> None:
    facts = replace(phone_facts(phone.link), sdk=29)
    with settings_for_timing(phone.link, facts) as settings:
        assert settings.done == ["screen stays on"]
    assert phone.read(FIXED) is None


def test_a_refused_setting_is_not_listed(phone: ShellPhone) -> None:
    facts = phone_facts(phone.link)
    (phone.state.parent / "bin" / "cmd").write_text("#!/bin/sh\nexit 255\n")
    with settings_for_timing(phone.link, facts) as settings:
        assert settings.done == ["screen stays on"]


class Unplugged:
    """A link that is lost once `cut` is set."""

    name = "pixel"

    def __init__(self, phone: ShellPhone) -> None:
        self.phone, self.cut = phone, False

    def pull(self) -> None:
        self.cut = True
        raise DeviceError("the cable was pulled")

    def run(self, command: Sequence[str], *, timeout_s: float) -> CommandResult:
        if self.cut:
            raise DeviceError("pixel is not reached any more")
        return self.phone.link.run(command, timeout_s=timeout_s)


def test_a_phone_that_is_lost_leaves_the_commands_that_restore_it(phone: ShellPhone) -> None:
    link, facts = Unplugged(phone), phone_facts(phone.link)
    restored = "adb shell cmd power set-fixed-performance-mode-enabled false"
    with pytest.raises(DeviceError) as got, settings_for_timing(link, facts):  # type: ignore[arg-type]
        link.pull()
    assert got.value.message == "the cable was pulled"
    assert restored in got.value.details[-1]

    link.cut = False
    with settings_for_timing(link, facts) as settings:  # type: ignore[arg-type]
        link.cut = True
    assert restored in settings.left
    assert restored in settings.error.hint


def test_a_file_that_changed_on_its_way_is_named(phone: ShellPhone, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_text("content")
    there = phone.link.push(tmp_path / "net.tflite", "net.tflite")
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    check_copied(phone.link, there, digest)
    with pytest.raises(DeviceError, match=r"net\.tflite is another file on pixel than here"):
        check_copied(phone.link, there, "0" * 64)
    with pytest.raises(DeviceError, match="pixel cannot hash what it was sent"):
        check_copied(phone.link, f"{there}.gone", digest)
