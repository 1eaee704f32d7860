"""Compare the sparse lint with what runtimes do, on the corpus of small networks.

    python tools/check_sparse               both oracles, compared; exit 1 where one differs
    python tools/check_sparse --record      and keep what was seen for the tests and the table
    python tools/check_sparse --foreign     the same on sparse files of others
    python tools/check_sparse --files F...  the same on these, say of an export
    python tools/check_sparse --fit         print what the predicted speed-up is made of

Oracle 1 is LiteRT for AArch64 under qemu, by exact counts of instructions; oracle 2 is
LiteRT's web build in node, by time. Both with the versions of `BOARD` and `WEB`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests" / "sparse_corpus"))

import board  # noqa: E402
import web  # noqa: E402
from fit import fitted  # noqa: E402
from foreign import densified, fetched  # noqa: E402
from outcome import Outcome  # noqa: E402
from recorded import RECORDED, agrees, differences, page, shown, verdict  # noqa: E402
from sparse_cases import CASES  # noqa: E402

from tinyml.core.files import write_json, write_text  # noqa: E402

CPU = "cortex-a72"
BOARD = ("1.2.0", "2.3.0")
WEB = ("2.5.3",)
DOCS = ROOT / "docs" / "sparse-corpus.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="keep what was seen")
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="only these")
    parser.add_argument("--versions", nargs="+", help="only these: litert-2.3.0 ...")
    parser.add_argument("--foreign", action="store_true", help="files of others instead")
    parser.add_argument("--files", nargs="+", type=Path, help="these sparse .tflite files instead")
    parser.add_argument("--fit", action="store_true", help="only print what instructions cost")
    asked = parser.parse_args()
    if asked.fit:
        print(json.dumps(fitted(), indent=4))
        return
    if asked.foreign or asked.files:
        sys.exit(_against_dense(asked.files or fetched()))
    with tempfile.TemporaryDirectory() as name:
        found = _measured(Path(name), asked.cases, asked.versions)
        wrong = differences(Path(name), found)
    if asked.record:
        _record(found)
    for line in wrong:
        print(f"differs: {line}")
    count = sum(len(cases) for cases in found.values())
    print(f"{count - len(wrong)} of {count} verdicts agree with what the runtime did")
    sys.exit(1 if wrong else 0)


def _measured(
    folder: Path, cases: Sequence[str], versions: Sequence[str] | None
) -> dict[str, dict[str, Outcome]]:
    """Runtime and version -> case -> outcome."""
    files = {name: CASES[name].write(folder, name) for name in cases}
    found = {}
    for version in BOARD:
        if versions is None or f"litert-{version}" in versions:
            print(f"LiteRT {version} on an emulated {CPU}", flush=True)
            found[f"litert-{version}"] = board.measured(CPU, version, files, _report)
    for version in WEB:
        if versions is None or f"litert-web-{version}" in versions:
            print(f"LiteRT's web build {version} in node", flush=True)
            found[f"litert-web-{version}"] = web.measured(version, files)
    return found


def _against_dense(paths: Iterable[Path]) -> int:
    """Lint and emulated board on files and the same stored dense; 1 where they differ."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for path in paths:
            dense = densified(path, Path(name) / f"{path.stem}-dense.tflite")
            version = BOARD[-1]
            seen = board.measured(CPU, version, {path.name: (path, dense)}, _report)[path.name]
            lint = verdict(path, f"litert-{version}")
            wrong += not agrees(lint, seen.does)
            print(
                f"{path.name}: lint {shown(lint)}, predicted {lint.predicted_speedup}; LiteRT "
                f"{version} {seen.does}, {seen.sparse:,} instructions a call against "
                f"{seen.dense:,}: {seen.ratio:.2f}"
            )
    return int(wrong > 0)


def _report(name: str) -> None:
    print(f"  {name}", file=sys.stderr, flush=True)


def _record(found: dict[str, dict[str, Outcome]]) -> None:
    known = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    for version, cases in found.items():
        known.setdefault(version, {}).update({n: asdict(outcome) for n, outcome in cases.items()})
    write_json(RECORDED, known)
    write_text(DOCS, page())


if __name__ == "__main__":
    main()
