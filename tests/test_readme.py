"""The commands of README and docs exist as written; README's do what it says (slow)."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import typer

from tinyml.cli.main import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.S)
PAGES = "".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md")))
COMMANDS = [
    line.split("#")[0].strip()
    for block in BLOCKS + re.findall(r"```sh\n(.*?)```", PAGES, re.S)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("tinyml ")
]


def test_readme_names_what_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("make setup", "make test"):
        assert command in TEXT
        assert f"\n{command}\n" in ci


def verbs(group: Any) -> dict[str, Any]:
    """Its commands by name, and those of groups in it by both names."""
    found = {}
    for name, own in group.commands.items():
        inner = verbs(own) if hasattr(own, "commands") else {}
        found |= {f"{name} {verb}": command for verb, command in inner.items()} or {name: own}
    return found


VERBS = verbs(typer.main.get_command(app))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documentation_parses(command: str) -> None:
    words = shlex.split(command)[1:]
    count = 1 if words[0] in VERBS else 2
    parsed = VERBS[" ".join(words[:count])].make_context(words[0], words[count:])
    assert parsed.params


def test_every_option_of_the_documentation_exists() -> None:
    options = {name for c in VERBS.values() for p in c.params for name in p.opts + p.secondary_opts}
    assert set(re.findall(r"`(--[a-z][\w-]*)", TEXT + PAGES)) <= options | {"--help"}


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", index)}
    pages = {page for page in DOCS.rglob("*.md") if page != DOCS / "README.md"}
    assert pages <= linked


def test_the_links_of_the_documentation_lead_somewhere() -> None:
    for page in (*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_make_target_of_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+%?):", makefile, re.M)
    documents = TEXT + (ROOT / "CONTRIBUTING.md").read_text()
    for wanted in set(re.findall(r"`?make ([a-z-]+)", documents)):
        assert any(fnmatchcase(wanted, target.replace("%", "?*")) for target in targets), wanted


def test_the_files_that_readme_links_exist() -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_the_python_of_readme_runs(small_bundle: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    (tmp_path / "demo-bundle").symlink_to(small_bundle)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("True")


@pytest.mark.slow
def test_five_minutes_of_use_work_as_written(tmp_path: Path) -> None:
    five = next(block for block in BLOCKS if "tinyml train synthetic" in block)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    setup = "make setup && . .venv/bin/activate"
    script = five.replace(setup, f'PATH="{Path(sys.executable).parent}:$PATH"')
    assert script != five
    subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, check=True)
    assert (tmp_path / "demo-bundle.bench.json").exists()
    assert (tmp_path / "demo-bundle.report.html").exists()
