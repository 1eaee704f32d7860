from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tinyml.core import bundle as bundles
from tinyml.core.device import THIS_MACHINE
from tinyml.core.errors import ValidationError
from tinyml.core.events import silent
from tinyml.device.local import open_link
from tinyml.pipeline.checked_bundle import read_checked
from tinyml.pipeline.verify_on_link import verify_on_link


def test_every_file_is_computed_there_and_judged_here(small_bundle: Path) -> None:
    with open_link(THIS_MACHINE) as link:
        found = verify_on_link(link, *read_checked(small_bundle), silent)
    declared = bundles.read(small_bundle)
    assert [file.path for file in found] == [model.path for model in declared.models]
    for file in found:
        assert file.passes
        assert file.version
        engines = {row.engine for row in file.rows}
        judged = {row.engine: row for row in declared.parity.stages}
        assert len(engines) == 1
        assert engines <= judged.keys()  # as users get it, the same as in the manifest


def test_a_file_that_fails_there_leaves_the_others(small_bundle: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -4 $$\n")
    python.chmod(0o755)
    with open_link(THIS_MACHINE) as link:
        there = replace(link, python=str(python))
        found = verify_on_link(there, *read_checked(small_bundle), silent)
    assert len(found) == len(bundles.read(small_bundle).models)
    for file in found:
        assert not file.passes
        assert not file.rows
        assert "SIGILL" in str(file.failure)


def test_a_bundle_that_is_not_whole_is_refused_before(bundle_copy: Path) -> None:
    (bundle_copy / bundles.REFERENCE).unlink()
    with pytest.raises(ValidationError, match=r"reference.safetensors is missing"):
        read_checked(bundle_copy)
