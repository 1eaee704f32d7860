"""Help texts, messages and docs use plain English and the field's words (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sources import PACKAGE, sources

ROOT = Path(__file__).parents[1]
# What stood in the text -> what to write. `is no longer` and `are no more` are plain English.
NOT = {
    r"\b(?<!there )(?:is|are|was) no (?!longer\b|more\b)[^.;:]*\b": "is not a ...",
    r"\bleave [^.;:]{1,40} away\b|\bleave it away\b": "omit",
    r"\bthere is nothing at\b": "no such file or directory",
    r"\b(?:is|are) not there yet\b": "is not supported yet",
    r"\bstrangers?\b": "third-party",
    r"\bharm(?:s|ful)?\b": "sensitivity, most sensitive",
    r"\bproven\b": "checked",
    r"\bevened out\b|\beven them out\b": "equalized",
    r"\bheld out\b": "validation set, test set",
    r"\bin the way\b": "prevents",
    r"\bbesides?\b": "next to, in addition to",
    r"\bpersons?\b": "subjects",
    r"\bcures?\b": "fix",
    r"\btwins?\b": "instrumented model",
    r"\bkeeps? (?:its|their) labels?\b": "label agreement",
    r"\bnobody\b": "was not ...",
    r"\b(?:is|are|was) (?:said|told)\b": "is shown",
    r"\bin eight bits\b": "quantization-aware",
    r"\bzeros apart\b": "sparse storage",
    r"\bin integers\b": "quantized",
}
PATTERNS = {re.compile(pattern, re.I): instead for pattern, instead in NOT.items()}


def found(where: str, text: str) -> Iterator[str]:
    for pattern, instead in PATTERNS.items():
        for hit in pattern.finditer(text):
            yield f"{where}: '{hit[0]}': write {instead}"


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Texts of two words or more that are not docstrings, and the docstrings of the verbs."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        if getattr(node, "name", "") != "command"
    }
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
        if isinstance(text, str) and " " in text:
            yield node.lineno, text


def prose(page: Path) -> str:
    """Without code: names of files, keys and commands are what they are."""
    text = re.sub(
        r"```.*?```", lambda m: "\n" * m[0].count("\n"), page.read_text("utf-8"), flags=re.S
    )
    return re.sub(r"`[^`\n]*`", "", text)


def test_messages_and_help() -> None:
    wrong = [
        line
        for path, tree in sources().items()
        for number, text in messages(tree)
        for line in found(f"{PACKAGE.name}/{path}:{number}", " ".join(text.split()))
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_documents() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    wrong = [
        line
        for page in sorted(pages)
        for number, text in enumerate(prose(page).splitlines(), 1)
        for line in found(f"{page.relative_to(ROOT)}:{number}", text)
    ]
    assert not wrong, "\n" + "\n".join(wrong)
