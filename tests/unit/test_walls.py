"""Rules that the import contracts of pyproject.toml cannot check."""

from __future__ import annotations

import ast
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("landfall", "ingest", "spark_jobs", "marketplace", "devcloud/src", "tests")


def test_the_app_imports_only_the_service() -> None:
    """`function_app` imports `ingest` and the Functions SDK, nothing else of the repository."""
    tree = ast.parse((REPOSITORY / "function_app.py").read_text())
    imported = {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert imported & {*PACKAGES, "devcloud"} == {"ingest"}


def test_no_module_is_called_utils() -> None:
    """A module is named for its subject."""
    named = [
        path
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
        if "util" in path.stem
    ]
    assert named == []
