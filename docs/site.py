"""Hooks of mkdocs: pages that stand outside of docs/, and links to files that are no pages."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "adf/README.md": "reference/factory.md",
    "spark_jobs/README.md": "reference/jobs.md",
    "devcloud/README.md": "devcloud/index.md",
} | {
    f"devcloud/src/devcloud/{service}/README.md": f"devcloud/{service}.md"
    for service in ("lake", "datafactory", "databricks", "functions", "database")
}
"""Files of the repository by their place in the site."""
_SOURCES = {place: source for source, place in PAGES.items()}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?://|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of docs/."""
    for source, place in PAGES.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links that leave docs/ to their page; name the file where it is none."""
    here = page.file.src_uri
    source = PurePosixPath(_SOURCES.get(here, f"docs/{here}")).parent

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = normpath(str(source / target))
        place = PAGES.get(path) or path.removeprefix("docs/")
        if path not in PAGES and not (path.startswith("docs/") and path.endswith(".md")):
            return text if text.startswith("`") else f"{text} (`{path}`)"
        return f"[{text}]({relpath(place, str(PurePosixPath(here).parent))}{anchor})"

    return _LINK.sub(link, markdown)
