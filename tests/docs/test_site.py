from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.line_ends import wrong
from tests.docs.pages import ROOT

TEXT = {".py", ".md", ".yml", ".yaml", ".toml", ".json", ".sql", ".c", ".h", ".in"}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """`mkdocs build --strict`: every page is in the navigation, every link leads to a page."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file()


def test_files_end_with_one_line_end() -> None:
    """As the pre-commit hook asks."""
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    files = [ROOT / name for name in names if Path(name).suffix in TEXT and (ROOT / name).exists()]
    assert wrong(files) == []
