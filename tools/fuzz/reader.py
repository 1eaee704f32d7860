"""The child: reads broken files one after the other within its limits, a line for each.

    python reader.py SEEDS SEED FIRST STOP

``NUMBER facts``, ``NUMBER refused`` or ``NUMBER finding WHAT``. Shape inference of ONNX,
which takes memory and time as the file asks, is a fork here with the same limits.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mutate

from tinyml.core.errors import InputError
from tinyml.core.target import all_targets
from tinyml.core.typed_json import from_json, parse_json, to_json
from tinyml.modelfile import infer_shapes
from tinyml.modelfile.cut import cut_file
from tinyml.modelfile.onnx_file import read_onnx
from tinyml.modelfile.summary import Summary
from tinyml.runtimes.file_read import FileReport, read_report
from tinyml.runtimes.lint import lint

MEMORY_MB = 512
SECONDS = 5.0
LONGEST_MESSAGE = 600


def main(arguments: list[str]) -> None:
    folder, seed, first, stop = Path(arguments[0]), *map(int, arguments[1:])
    seeds = sorted(p for p in folder.iterdir() if p.suffix in mutate.OF_SUFFIX)
    infer_shapes._inferred = _in_a_fork  # type: ignore[assignment]
    scratch = Path(tempfile.mkdtemp(dir=folder))
    (scratch / "weights.bin").write_bytes((folder / "weights.bin").read_bytes())
    (scratch / "link.bin").symlink_to("/etc/hostname")
    for path in seeds:
        (scratch / path.name).write_bytes(path.read_bytes())
        _summary(scratch / path.name)  # a seed is whole
    _limit()
    print("ready", flush=True)
    for number in range(first, stop):
        name, data = mutate.mutated(seeds, seed, number)
        path = scratch / name
        path.write_bytes(data)
        print(number, _judge(path), flush=True)
        path.unlink()


def _limit() -> None:
    """`MEMORY_MB` more address space than what lies there already."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * os.sysconf("SC_PAGE_SIZE") + (MEMORY_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _judge(path: Path) -> str:
    """What every reader says of ``path``: the worst of it."""
    said = "facts"
    start = time.process_time()
    for read in READERS:
        try:
            read(path)
        except InputError as error:
            said = "refused"
            if len(error.message) > LONGEST_MESSAGE or "\n" in error.message:
                return f"finding {read.__name__}: a message that is no line"
            if str(path.parent) not in error.message and path.name not in error.message:
                return f"finding {read.__name__}: does not name the file: {error.message[:200]}"
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            return f"finding {read.__name__}: {reason}"
    took = time.process_time() - start
    return said if took < SECONDS else f"finding took {took:.1f} s"


def _summary(path: Path) -> Summary:
    """As a child reads it, sends it, and the user's process takes it."""
    text = json.dumps(to_json(read_report(path)))
    return from_json(FileReport, parse_json(text, what=f"{path}")).summary


def _cut(path: Path) -> None:
    facts = _summary(path)
    cut_file(path, facts.outputs[0].name if facts.outputs else "y", path.parent / "cut")


def _lint(path: Path) -> None:
    lint(path, all_targets()["rpi4"])


READERS: tuple[Callable[[Path], object], ...] = (_summary, _lint, _cut)


def _in_a_fork(path: Path, _changed_ns: int, _size: int) -> bytes:
    """`infer_shapes.infer` of ``path``; whatever kills it is an `InputError`, as in production."""
    out = path.parent / "inferred"
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
        code = 1
        try:
            out.write_bytes(infer_shapes.infer(path, read_onnx(path)).SerializeToString())
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise InputError(f"{path}: onnx's shape inference refuses it or dies")
    return out.read_bytes()


if __name__ == "__main__":
    main(sys.argv[1:])
