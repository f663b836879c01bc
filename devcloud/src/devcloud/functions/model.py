"""A function of the app as the host sees it: its trigger, its outputs, how to call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

HTTP, QUEUE, BLOB, TIMER = "httpTrigger", "queueTrigger", "blobTrigger", "timerTrigger"
TRIGGERS = (HTTP, QUEUE, BLOB, TIMER)
OUTPUTS = ("queue", "http")
RETURN = "$return"


@dataclass(frozen=True)
class Binding:
    """One binding, as in function.json, its `%SETTING%`s resolved.

    Attributes:
        name: of the parameter, or `$return`.
        kind: binding type, such as `queueTrigger`.
        fields: the remaining keys, such as `queueName` or `path`.
    """

    name: str
    kind: str
    fields: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        """A field; KeyError if the app did not give it."""
        return self.fields[key]


@dataclass(frozen=True)
class Function:
    """One function of the app.

    Attributes:
        call: the user's function.
        annotation: type of the trigger's parameter, None if it has none.
        outputs: output bindings with a parameter of type `func.Out`.
        returned: the binding of the return value, if there is one.
        deferred: the trigger is given as an SDK type, such as BlobClient.
        declared: all bindings as the app declares them.
        needs_context: it has a parameter `context` for the invocation context.
    """

    name: str
    call: Callable[..., Any]
    trigger: Binding
    annotation: type | None
    outputs: tuple[Binding, ...]
    returned: Binding | None
    deferred: bool
    is_async: bool
    needs_context: bool
    declared: tuple[Mapping[str, Any], ...] = ()

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """All bindings, the trigger first."""
        returned = (self.returned,) if self.returned else ()
        return (self.trigger, *self.outputs, *returned)

    @property
    def queue(self) -> str:
        """The queue of a queue trigger."""
        return str(self.trigger["queueName"])
