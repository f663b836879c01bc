r"""Patterns of contracts: ECMA-262 regular expressions, matched in time linear in the text.

Polars' engine (the `regex` crate of Rust) matches them, wherever they are matched: cell by cell,
in the prefilters, in the Spark job and in quality rules. It never goes back in the text, so no cell
can hold a process up. What it cannot do is refused where the contract is read: look-around and back
references.

A pattern is searched for in the text. `$` matches only at its end, `\d`, `\w`, `\s` and `\b` are
ASCII, `.` is any character but a line feed. The flags `(?i)` and `(?s)` are supported.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\x0B\x0C\r\x20"}
_CONTROLS = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
_BACKSPACE = 8
_ANCHORS = {"b": r"(?-u:\b)", "B": r"(?-u:\B)", "A": r"\A", "Z": r"\z", "z": r"\z"}
_NO_LOOK = "patterns are matched in linear time, which look-around cannot be; write it without"
_NO_BACK = "patterns are matched in linear time, which back references cannot be; write it without"
_REFUSED_GROUPS = {
    "(?=": f"looks ahead: {_NO_LOOK}",
    "(?!": f"looks ahead: {_NO_LOOK}",
    "(?<=": f"looks behind: {_NO_LOOK}",
    "(?<!": f"looks behind: {_NO_LOOK}",
    "(?P=": f"has a back reference: {_NO_BACK}",
    "(?>": "has an atomic group, which ECMA-262 does not know",
    "(?(": "has a condition, which ECMA-262 does not know",
    "(?#": "has a comment, which ECMA-262 does not know",
}
_NAMED = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_FLAGS = re.compile(r"\(\?([is]*)(-[is]+)?([:)])")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}")
_LOW = re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
_PROPERTY = re.compile(r"[pP]\{[A-Za-z0-9_=-]+\}")
_SURROGATES = range(0xD800, 0xE000)
_HIGH = range(0xD800, 0xDC00)
_LAST = 0x10FFFF


class TextPattern:
    """An ECMA-262 pattern. It can be used from any thread."""

    def __init__(self, pattern: str) -> None:
        """Compile a pattern.

        Raises:
            ValueError: it is no regular expression, or asks for what is not supported.
        """
        self.pattern = pattern
        self._expression = _Translation(pattern).expression
        self._compile()

    def among(self, texts: Collection[str]) -> set[str]:
        """Return the texts in which the pattern is found.

        All at once cost about 0.1 microseconds each, one alone about 100.
        """
        import polars as pl  # noqa: PLC0415 - takes longer to load than most contracts to read

        listed = list(texts)
        column = pl.Series([_readable(text) for text in listed], dtype=pl.String)
        found = column.str.contains(self._expression, literal=False)
        return {listed[at] for at in found.arg_true()}

    def _compile(self) -> None:
        from polars.exceptions import PolarsError  # noqa: PLC0415 - see above

        try:
            self.among([""])
        except PolarsError as error:
            text = str(error)
            raise ValueError(
                f"pattern {self.pattern!r} is too large when its repetitions are written out; "
                "repeat less, or use maxLength"
                if "size limit" in text
                else f"pattern {self.pattern!r} is not a regular expression: {_last_line(text)}"
            ) from error


def _readable(text: str) -> str:
    """Return a text that UTF-8 can hold: bytes that are not text count as one character each."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _last_line(text: str) -> str:
    """Return what the engine's message says; it draws the pattern before."""
    lines = [line for line in text.splitlines() if line.strip().startswith("error:")]
    return lines[-1].strip().removeprefix("error:").strip() if lines else text.splitlines()[0]


class _Translation:
    """An ECMA-262 pattern in the syntax of the engine. Groups capture nothing."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._names: set[str] = set()
        self._repeatable = False
        """Whether what was read last can be repeated."""
        parts = []
        while self._at < len(pattern):
            parts.append(self._next())
        self.expression = "".join(parts)

    def _next(self) -> str:
        char = self._pattern[self._at]
        if char in "*+?" or (char == "{" and self._repetition() is not None):
            return self._quantifier()
        self._repeatable = char not in "^$(|"
        if char == "\\":
            return self._escape()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        self._at += 1
        if char == "$":
            return r"\z"
        return char if char in "^.|)" else _literal(char)

    def _quantifier(self) -> str:
        if not self._repeatable:
            raise self._error(f"has nothing that {self._pattern[self._at]!r} could repeat")
        self._repeatable = False
        repetition = self._repetition()
        text = repetition.group() if repetition else self._pattern[self._at]
        if repetition and repetition[2] and int(repetition[1]) > int(repetition[2]):
            raise self._error(f"has {text}, whose bounds are the wrong way round")
        self._at += len(text)
        if self._pattern.startswith("?", self._at):  # fewest first, which finds the same texts
            self._at += 1
        return text

    def _repetition(self) -> re.Match[str] | None:
        if self._pattern.startswith("{,", self._at) and re.match(
            r"\{,\d*\}", self._pattern[self._at :]
        ):
            raise self._error("has a repetition without its lower bound; write {0,n}")
        return _REPEAT.match(self._pattern, self._at)

    def _group(self) -> str:
        rest = self._pattern[self._at :]
        for start, reason in _REFUSED_GROUPS.items():
            if rest.startswith(start):
                raise self._error(reason)
        if named := _NAMED.match(rest):
            if named[1] in self._names:
                raise self._error(f"has two groups of the name {named[1]!r}")
            self._names.add(named[1])
            self._at += named.end()
            return "(?:"
        if flags := _FLAGS.match(rest):
            self._at += flags.end()
            return flags.group()
        if rest.startswith("(?"):
            raise self._error(f"has a group {rest[:4]!r}, which is not supported")
        self._at += 1
        return "(?:"

    def _escape(self) -> str:
        """Read an escape outside of a class."""
        kind = self._pattern[self._at + 1 : self._at + 2]
        if kind.isdigit() and kind != "0":
            raise self._error(f"has a back reference: {_NO_BACK}")
        if kind == "k" and self._pattern.startswith("\\k<", self._at):
            raise self._error(f"has a back reference: {_NO_BACK}")
        if kind in _ANCHORS and kind:
            self._at += 2
            self._repeatable = False
            return _ANCHORS[kind]
        if set_ := self._set():
            return f"(?-i:[{set_}])"
        return _literal(self._character())

    def _set(self) -> str | None:
        r"""Read `\d`, `\w`, `\s`, their opposites or a Unicode property, as an item of a class."""
        kind = self._pattern[self._at + 1 : self._at + 2]
        if kind and kind.lower() in _CLASSES:
            self._at += 2
            items = _CLASSES[kind.lower()]
            return items if kind.islower() else f"[^{items}]"
        if found := _PROPERTY.match(self._pattern, self._at + 1):
            self._at = found.end()
            return "\\" + found.group()
        return None

    def _character(self) -> str:
        """Read one character, which may be escaped."""
        char = self._pattern[self._at]
        self._at += 1
        if char != "\\":
            return char
        kind = self._pattern[self._at : self._at + 1]
        if found := _HEX.match(self._pattern, self._at):
            self._at = found.end()
            return self._scalar(int(found[1] or found[2] or found[3], 16))
        self._at += 1
        if kind in _CONTROLS and kind:
            return chr(_CONTROLS[kind])
        if kind == "c" and re.match(r"[A-Za-z]", self._pattern[self._at :]):
            self._at += 1
            return chr(ord(self._pattern[self._at - 1]) % 32)
        if not kind or (kind.isascii() and kind.isalnum()):
            raise self._error(f"has the escape \\{kind}, which means nothing")
        return kind

    def _scalar(self, code: int) -> str:
        if code in _HIGH and (low := _LOW.match(self._pattern, self._at)):
            self._at = low.end()
            code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if code in _SURROGATES or code > _LAST:
            raise self._error(f"has the escape {code:X}, which is no character")
        return chr(code)

    def _class(self) -> str:
        """Read a class in brackets."""
        self._at += 1
        start = "["
        if self._pattern.startswith("^", self._at):
            self._at += 1
            start = "[^"
        items: list[str] = []
        while not self._pattern.startswith("]", self._at):
            items.append(self._item())
        if not items:
            raise self._error(r"has an empty class; write \] for the bracket, [\s\S] for any")
        self._at += 1
        return f"{start}{''.join(items)}]"

    def _item(self) -> str:
        low = self._item_end()
        dash = self._pattern.startswith("-", self._at)
        if not dash or self._pattern.startswith("-]", self._at):
            return low if isinstance(low, str) else _literal(chr(low))
        self._at += 1
        high = self._item_end()
        if isinstance(low, str) or isinstance(high, str) or low > high:
            raise self._error("has a range of characters that begins or ends with none")
        return f"{_literal(chr(low))}-{_literal(chr(high))}"

    def _item_end(self) -> int | str:
        """Read a character of a class, or a set as text."""
        if self._at >= len(self._pattern):
            raise self._error("has a class that is not closed")
        if self._pattern.startswith("\\b", self._at):
            self._at += 2
            return _BACKSPACE
        if self._pattern.startswith("\\", self._at) and (set_ := self._set()):
            return set_
        return ord(self._character())

    def _error(self, reason: str) -> ValueError:
        return ValueError(f"pattern {self._pattern!r} {reason}")


def _literal(char: str) -> str:
    """Return a character that means itself to the engine, in and outside of a class."""
    return char if char.isalnum() or ord(char) > 127 else f"\\x{ord(char):02X}"  # noqa: PLR2004
