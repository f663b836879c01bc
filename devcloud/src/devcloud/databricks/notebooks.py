"""Notebooks as the workspace stores them: source text with a mark, under a name without ending.

They are kept and given back, never run.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from devcloud.databricks.errors import invalid, unsupported

LANGUAGES = {"py": "PYTHON", "scala": "SCALA", "sql": "SQL", "r": "R"}
COMMENTS = {"PYTHON": "#", "SCALA": "//", "SQL": "--", "R": "#"}
_MARK = "Databricks notebook source"


def mark(language: str) -> bytes:
    """The first line of a notebook's source."""
    return f"{COMMENTS[language]} {_MARK}\n".encode()


def language_of(path: str, content: bytes) -> str | None:
    """The language of a file that is the source of a notebook; None if it is a plain file."""
    language = LANGUAGES.get(path.rpartition(".")[2].lower())
    first = content.partition(b"\n")[0].rstrip(b"\r")
    if language is None or first != mark(language).rstrip():
        return None
    return language


def name_of(path: str) -> str:
    """The path of the notebook whose source has that path."""
    return path.rpartition(".")[0]


def asked_for(path: str, language: str | None, content: bytes) -> tuple[str, str, bytes]:
    """Path, language and source of a notebook that is imported as SOURCE.

    Raises:
        ApiError: the language is not told, or is none.
    """
    ending = LANGUAGES.get(path.rpartition(".")[2].lower())
    notebook_language = (language or ending or "").upper()
    if not notebook_language:
        raise invalid(f"The language of the notebook {path} is not given.")
    if notebook_language not in COMMENTS:
        raise unsupported(f"notebooks in {language}")
    head = mark(notebook_language)
    source = content if content.startswith(head.rstrip()) else head + content
    return (name_of(path) if ending == notebook_language else path), notebook_language, source


class NotebookIndex:
    """Which files of the workspace are notebooks, and in which language.

    Args:
        path: where that is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._languages: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def language(self, local: Path) -> str | None:
        """The language of a notebook; None of a plain file."""
        return self._languages.get(str(local))

    def put(self, local: Path, language: str | None) -> None:
        """Say what a file is that was just written, or that it is gone (None)."""
        with self._lock:
            known = self._languages.pop(str(local), None)
            if language is not None:
                self._languages[str(local)] = language
            if known != language:
                self._save()

    def drop_below(self, folder: Path) -> None:
        """Forget what was in a folder that is gone."""
        with self._lock:
            inside = [each for each in self._languages if Path(each).is_relative_to(folder)]
            for each in inside:
                del self._languages[each]
            if inside:
                self._save()

    def _save(self) -> None:
        staged = self._path.with_suffix(".tmp")
        staged.write_text(json.dumps(self._languages))
        staged.replace(self._path)
