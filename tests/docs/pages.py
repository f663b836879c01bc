"""Markdown pages as tests see them: links, headings, and examples with the output they promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ("bash", "python")
"""Languages whose blocks are executed."""

_FENCE = re.compile(
    r"^(?:<!-- (?P<marker>.+?) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_VARIABLE = (
    (re.compile(r"\d{8}T\d{6}Z-(\w+)-[0-9a-f]{8}"), r"<id of \1>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"), "<time>"),
    (re.compile(r"job run \d+"), "job run <n>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `marker` is the comment right above it."""

    language: str
    text: str
    marker: str
    line: int

    @property
    def skipped(self) -> bool:
        """Whether it says that it is not run, and why."""
        return bool(re.match(r"not run: \S", self.marker))

    @property
    def exit_code(self) -> int:
        """What it says its last command ends with."""
        found = re.fullmatch(r"exits with (\d+)", self.marker)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Example:
    """A block that is run, and the lines that the page says it prints."""

    block: Block
    prints: tuple[str, ...]


def markdown() -> list[Path]:
    """Every page of the repository."""
    found = ROOT.rglob("*.md")
    hidden = (".", "build", "node_modules")
    return sorted(
        path
        for path in found
        if not any(part.startswith(hidden) for part in path.relative_to(ROOT).parts)
    )


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            match["language"],
            match["text"],
            match["marker"] or "",
            text.count("\n", 0, match.start()) + 1,
        )
        for match in _FENCE.finditer(text)
    ]


def examples(page: Path) -> list[Example]:
    """The blocks of a page that are run, each with the `text` block that follows it."""
    found: list[Example] = []
    before: Block | None = None
    for block in blocks(page):
        if block.language in RUN and not block.skipped:
            found.append(Example(block, ()))
        elif block.language == "text" and found and found[-1].block is before:
            found[-1] = Example(found[-1].block, tuple(_promised(block.text)))
        before = block
    return found


def _promised(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for piece in line.split("…"):
            if said := constant(piece):
                yield said


def constant(text: str) -> str:
    """A piece of output with what differs from run to run replaced, and blanks folded."""
    for pattern, stand_in in _VARIABLE:
        text = pattern.sub(stand_in, text)
    return text.strip()


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """The relative links of a page outside of its blocks: as written, target, anchor."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        path, _, anchor = target.partition("#")
        yield target, (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def tables(text: str) -> Iterator[list[str]]:
    """The cells of each row of a page's tables."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]
