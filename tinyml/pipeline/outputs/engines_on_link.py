"""The engines of a bundle as they compute on the machine of a link."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from tinyml.core.bundle import Bundle
from tinyml.core.errors import raise_first
from tinyml.core.spec import Signature
from tinyml.device.link import Link
from tinyml.device.link_runtime import LinkRuntime
from tinyml.device.program import Program
from tinyml.device.runner_command import push_runner
from tinyml.device.runner_output import RuntimeMissingError
from tinyml.pipeline.outputs.engines import Engine, candidates
from tinyml.runtimes.base import Session


@dataclass(frozen=True, slots=True)
class OpenedEngine:
    """An engine whose file a process on the machine has loaded; ``session`` takes real numbers."""

    engine: Engine
    session: Session

    @property
    def version(self) -> str:
        """Of the runtime there."""
        return str(self.engine.runtime.version())


@contextmanager
def on_link(engine: Engine, link: Link, runner: Program, signature: Signature) -> Iterator[Engine]:
    """``engine`` as it computes there; what it started there ends with the block."""
    with closing(LinkRuntime(engine.runtime, link, runner, signature)) as runtime:
        yield replace(engine, runtime=runtime)


@contextmanager
def opened_engine(bundle: Bundle, name: str | None, link: Link) -> Iterator[OpenedEngine]:
    """The engine called ``name``, else the first reference engine whose runtime is installed there.

    Raises `UsageError` for a name that ``bundle`` has no file for, `DeviceError` where no engine
    can be started there.
    """
    found = [engine for engine in candidates(bundle, name) if name or not engine.optional]
    runner, missing = push_runner(link), []
    with ExitStack() as stack:
        for engine in found:
            there = stack.enter_context(on_link(engine, link, runner, bundle.signature))
            try:
                session = there.open()
            except RuntimeMissingError as error:
                missing.append(error)
                continue
            yield OpenedEngine(there, session)
            return
    raise_first(missing)
