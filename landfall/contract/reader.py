"""YAML nodes with their paths, so that every error names its place in the document."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Self

import yaml

from landfall.contract.model import ContractError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Raises an error for a duplicate key, which plain YAML loaders accept silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


class Node:
    """A value of the document with its path, such as `schema[0].properties[3].name`.

    `lines` has the line of each path of the document, counted from 1; it is shared by all its
    nodes. Documents of other kinds than contracts derive a class with an error of their own.
    """

    def __init__(
        self, value: Any, file: str, path: str = "", lines: Mapping[str, int] | None = None
    ) -> None:
        self.value = value
        self.file = file
        self.path = path
        self._lines = lines or {}

    @classmethod
    def of_yaml(cls, text: str, file: str) -> Self:
        """Parse a document, whose root must be a mapping.

        Raises:
            ContractError: not YAML, a duplicate key, or not a mapping.
        """
        try:
            loader = _StrictLoader(text)
            tree = loader.get_single_node()
            value = None if tree is None else loader.construct_document(tree)
        except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
            why = " ".join(str(error).replace('in "<unicode string>", ', "in ").split())
            raise cls(None, file).error(f"is not readable YAML: {why}") from error
        root = cls(value, file, lines={} if tree is None else dict(_lines(tree)))
        root.mapping()
        return root

    @property
    def line(self) -> int:
        """The line of this place, or, where it is absent, of what it should stand in."""
        path = self.path
        while path and path not in self._lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._lines.get(path, 1)

    def error(self, reason: str) -> ContractError:
        """Return an error about this place."""
        return ContractError(self.file, self.path, reason)

    def _child(self, value: Any, path: str) -> Self:
        return type(self)(value, self.file, path, self._lines)

    def mapping(self) -> dict[str, Any]:
        """Return the value, which must be a mapping with text keys."""
        if not isinstance(self.value, dict) or not all(isinstance(k, str) for k in self.value):
            raise self.error("must be a mapping of names to values")
        return self.value

    def at(self, key: str) -> Self:
        """Return the node under `key`; its value is None if the key is absent."""
        path = f"{self.path}.{key}" if self.path else key
        return self._child(self.mapping().get(key), path)

    def item(self, index: int) -> Self:
        """Return the node of one item of a list."""
        return self._child(self.value[index], f"{self.path}[{index}]")

    def get(self, key: str) -> Self | None:
        """Return the node under `key`, or None if the key is absent or null."""
        node = self.at(key)
        return None if node.value is None else node

    def require(self, key: str) -> Self:
        """Return the node under `key`; raise ContractError if it is absent."""
        node = self.get(key)
        if node is None:
            raise self.at(key).error("is missing")
        return node

    def items(self) -> list[Self]:
        """Return the items of a list, each with its path."""
        if not isinstance(self.value, list):
            raise self.error("must be a list")
        return [self.item(index) for index in range(len(self.value))]

    def optional_items(self, key: str) -> list[Self]:
        """Return the items of the list under `key`; none if the key is absent."""
        node = self.get(key)
        return [] if node is None else node.items()

    def text(self) -> str:
        """Return the value, which must be text; a number or boolean is an error."""
        if not isinstance(self.value, str):
            raise self.error(f"must be text, is {self.value!r}; put it in quotes")
        return self.value

    def number(self) -> int | float:
        """Return the value, which must be a finite number."""
        number = self.value
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise self.error(f"must be a number, is {number!r}")
        if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
            raise self.error(f"must be a finite number, is {number!r}")
        return number

    def count(self) -> int:
        """Return the value, which must be a whole number, zero or more."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self.error(f"must be a whole number, 0 or more, is {self.value!r}")
        return self.value

    def flag(self) -> bool:
        """Return the value, which must be true or false."""
        if not isinstance(self.value, bool):
            raise self.error(f"must be true or false, is {self.value!r}")
        return self.value

    def one_of(self, allowed: Iterable[str]) -> str:
        """Return the value, which must be one of `allowed`."""
        text = self.text()
        choices = list(allowed)
        if text not in choices:
            raise self.error(f"is {text!r}; supported: {', '.join(choices)}")
        return text

    def allow_only(self, known: Iterable[str]) -> None:
        """Raise ContractError for a key that the standard does not have at this place."""
        if unknown := sorted(set(self.mapping()) - set(known)):
            raise self.at(unknown[0]).error("is not in the standard at this place")

    def forbid(self, key: str, reason: str) -> None:
        """Raise ContractError if `key` is present: the standard has it, but it is not supported."""
        node = self.get(key)
        if node is not None and node.value != []:
            raise node.error(reason)


def _lines(tree: yaml.Node) -> Iterator[tuple[str, int]]:
    """Yield every path of a document with its line; a key has the line of its name.

    What an alias repeats has the lines of its first place only.
    """
    waiting, seen = [("", tree)], set[int]()
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        below: list[tuple[str, int, yaml.Node]] = []
        if isinstance(node, yaml.MappingNode):
            below = [
                (f"{path}.{key.value}" if path else str(key.value), key.start_mark.line, value)
                for key, value in node.value
            ]
        elif isinstance(node, yaml.SequenceNode):
            below = [
                (f"{path}[{index}]", value.start_mark.line, value)
                for index, value in enumerate(node.value)
            ]
        for name, line, value in below:
            yield name, line + 1
            waiting.append((name, value))
