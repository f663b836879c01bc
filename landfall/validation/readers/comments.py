"""Comment lines of delimited text: they become blank lines, which are no records."""

from __future__ import annotations

import re

from landfall.validation.readers.splitting import Splitter


class Comments:
    """Finds lines that begin with a prefix, outside of quoted fields."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._begin = re.compile(rb"^" + re.escape(self._prefix), re.MULTILINE)
        self._whole = re.compile(rb"^" + re.escape(self._prefix) + rb"[^\n]*", re.MULTILINE)

    def blanked(self, data: bytes, splitter: Splitter, *, final: bool) -> bytes:
        """Return `data`, which begins with a record, with comment lines empty.

        Lines keep their numbers. The last line stays as it is where it has no end, unless `final`.
        """
        if self._begin.search(data) is None:
            return data
        last = len(data) if final else data.rfind(b"\n") + 1
        whole, rest = data[:last], data[last:]
        quote = splitter.quote.encode()
        if quote not in whole:
            return self._whole.sub(b"", whole) + rest
        lines = whole.split(b"\n")
        inside = False
        for at, line in enumerate(lines):
            if not inside and line.startswith(self._prefix):
                lines[at] = b""
            elif inside or quote in line:
                text = line.decode("utf-8", "surrogateescape") + "\n"
                inside = splitter.ends_inside(text, inside=inside)
        return b"\n".join(lines) + rest
