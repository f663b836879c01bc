"""Reports and reasons without the values of one subject.

A report tells of rules and counts, and shows some values: of columns that the contract classifies
as personal they are masked, of others they are as in the file. What is shown of the subject becomes
`ERASED`; counts stay, for they are of the drop. A value that another record shares is erased too:
a report that shows one example less says the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landfall.contract.model import Contract
from landfall.erasure.subject import Found, Subject, has_tokens

ERASED = "(erased)"


@dataclass
class Redaction:
    """Takes the values of a subject out of documents, and counts them.

    Attributes:
        found: the texts of the subject's cells, by column, as far as its records were found.
    """

    subject: Subject
    contract: Contract
    found: Found
    values: int = 0

    def report(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return a validation report without the subject's values."""
        changed = dict(report)
        changed["checks"] = [self._check(check) for check in report.get("checks", ())]
        changed["examples"] = [self._example(each) for each in report.get("examples", ())]
        changed["profile"] = [self._profile(each) for each in report.get("profile", ())]
        return changed

    def reasons(self, lines: bytes) -> bytes:
        """Return the reasons of rejects, JSON Lines, without the subject's values."""
        return b"".join(map(self._reason, lines.splitlines(keepends=True)))

    def _reason(self, line: bytes) -> bytes:
        try:
            reason = json.loads(line)
        except ValueError:
            return line
        faults = [self._valued(fault, fault.get("column")) for fault in reason.get("faults", ())]
        if faults == reason.get("faults"):
            return line
        return json.dumps(reason | {"faults": faults}, ensure_ascii=False).encode() + b"\n"

    def _check(self, check: Mapping[str, Any]) -> dict[str, Any]:
        samples = [self._valued(sample, check.get("column")) for sample in check["samples"]]
        return dict(check) | {"samples": samples}

    def _valued(self, entry: Mapping[str, Any], column: str | None) -> dict[str, Any]:
        if not self._is_shown(column, entry.get("value")):
            return dict(entry)
        self.values += 1
        return dict(entry) | {"value": ERASED}

    def _is_shown(self, columns: str | None, value: object) -> bool:
        """Whether a value of a column, or of several joined by commas, is the subject's."""
        if not isinstance(value, str) or value == ERASED:
            return False
        names = columns.split(",") if columns else []
        if len(names) > 1 or not names:
            return self._has_key(value) or any(value in self._texts(name) for name in names)
        return value in self._texts(names[0]) or (
            names[0] in self.subject.values and self._has_key(value)
        )

    def _has_key(self, text: str) -> bool:
        return has_tokens(text.encode("utf-8", "surrogateescape"), self.subject.tokens)

    def _texts(self, column: str) -> frozenset[str]:
        own = self.subject.values.get(column)
        texts = self.found.cells.get(column, frozenset())
        return texts if own is None else texts | {own}

    def _example(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """An example is a whole record: it goes where what it shows is the subject's."""
        raw, cells = example.get("raw"), example.get("cells") or {}
        of_raw = isinstance(raw, str) and self._has_key(raw)
        shown = {name: cell for name, cell in cells.items() if cell and cell not in {"***", ERASED}}
        of_cells = bool(shown) and all(cell in self._texts(name) for name, cell in shown.items())
        if not of_raw and not of_cells:
            return dict(example)
        self.values += 1
        return dict(example) | {
            "raw": ERASED if raw else raw,
            "cells": dict.fromkeys(cells, ERASED) if cells else cells,
        }

    def _profile(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """Extremes, quantiles and frequent values: of texts, and of columns of the key."""
        name = str(profile["column"])
        if profile.get("masked"):
            return dict(profile)

        def without(value: Any) -> Any:
            whole = isinstance(value, float) and value.is_integer()
            text = value if isinstance(value, str) else json.dumps(int(value) if whole else value)
            told = isinstance(value, str) or name in self.subject.values
            if value is None or not told or text not in self._texts(name):
                return value
            self.values += 1
            return ERASED

        return dict(profile) | {
            "least": without(profile.get("least")),
            "most": without(profile.get("most")),
            "quantiles": {k: without(v) for k, v in (profile.get("quantiles") or {}).items()},
            "top": [[without(value), share] for value, share in profile.get("top", ())],
        }
