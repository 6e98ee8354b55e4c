"""The project's own lints: rules that no general tool knows. Run by `make check`; exits 1 where one is broken."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "quintet"
MAX_LINES = 500
MAX_FUNCTION = 60
ENGINE_FILES = {"sql.py", "database.py", "tx.py", "migrate.py", "schema.py"}


def main() -> int:
    """Prints every finding as `file:line: rule: what`."""
    findings = [f for path in sorted(SOURCE.rglob("*.py")) for f in _check(path)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _check(path: Path) -> Iterator[str]:
    text = path.read_text()
    where = path.relative_to(ROOT)
    tree = ast.parse(text)
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{where}:1: file-too-long: {lines} lines are probably two rooms"
    if ast.get_docstring(tree) is None and text.strip():
        yield f"{where}:1: no-header: a module says why it exists"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            # A migration is a list of tables: it has no logic that a reader could lose in its length.
            if length > MAX_FUNCTION and "migrations" not in path.parts:
                yield f"{where}:{node.lineno}: function-too-long: '{node.name}' has {length} lines"
    yield from _engine_names(path, where, text)
    yield from _commits(path, where, text)
    yield from _statuses(path, where, tree)


def _engine_names(path: Path, where: Path, text: str) -> Iterator[str]:
    """A second place that knows which database it is would be forgotten when the first changes."""
    if "storage" not in path.parts or path.name in ENGINE_FILES or "migrations" in path.parts:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"EngineKind\.(SQLITE|POSTGRES)", line):
            yield f"{where}:{number}: engine-name-outside-sql: spell the difference in storage/sql.py"


def _commits(path: Path, where: Path, text: str) -> Iterator[str]:
    """A commit in the middle of a use case would keep half of it when the rest fails."""
    if path.name in ("database.py", "migrate.py"):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\.(commit|rollback)\(\)", line):
            yield f"{where}:{number}: commit-outside-tx: only the runner in storage/database.py commits"


def _statuses(path: Path, where: Path, tree: ast.AST) -> Iterator[str]:
    """One status for five dialects is wrong for four of them."""
    if not {"domain", "app"} & set(path.relative_to(SOURCE).parts[:1]):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "status_code":
            yield f"{where}:{node.value.lineno}: http-status-outside-dialects: errors carry no HTTP status"


if __name__ == "__main__":
    sys.exit(main())
