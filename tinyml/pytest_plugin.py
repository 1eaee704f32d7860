"""The pytest plugin: the fixture ``assert_parity``, and the table of stages where it fails.

Installed with the package (entry point ``pytest11``). Loads no runtime until a test asks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from tinyml.testing import ParityError


@pytest.fixture(scope="session")
def assert_parity() -> Callable[..., Any]:
    """`tinyml.testing.assert_parity`: a bundle or model file answers as its reference does."""
    from tinyml import testing

    asserted: Callable[..., Any] = testing.assert_parity
    return asserted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the table of stages below a failure of parity."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, ParityError):
        report.sections.append(("parity by stage", call.excinfo.value.table))
    return report
