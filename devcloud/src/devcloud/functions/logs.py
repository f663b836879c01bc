"""The log of the host: one line per invocation beside what the app logs, at levels of host.json."""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar

from devcloud.functions.hostjson import HostOptions

HOST = logging.getLogger("devcloud.functions")
current: ContextVar[str] = ContextVar("current_function", default="")


class CategoryFilter(logging.Filter):
    """Lets a record pass at the level which host.json gives to its category.

    What the app logs while a function runs has the category `Function.<name>.User`; the lines of
    the host about an invocation `Function.<name>`; everything else `Host.General`.
    """

    def __init__(self, options: HostOptions) -> None:
        super().__init__()
        self._options = options

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        function = current.get()
        if record.name.startswith("devcloud"):
            category = getattr(record, "category", "Host.General")
        else:
            category = f"Function.{function}.User" if function else "Host.General"
        return record.levelno >= self._options.level_of(category)


class ReadableFormatter(logging.Formatter):
    """`13:02:07 functions   advance: message`: when, which service, which function, what."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it where there is one."""
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        who = getattr(record, "function", "") or current.get()
        line = f"{stamp} functions   {level}{who and who + ': '}"
        line += record.getMessage()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(options: HostOptions) -> None:
    """Set up the log of this process, on stderr. The root level is INFO, as in the real worker."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ReadableFormatter())
    handler.addFilter(CategoryFilter(options))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(min([logging.INFO, *options.log_levels.values()]))


def about(function: str) -> dict[str, str]:
    """The `extra` of a line of the host about one function."""
    return {"category": f"Function.{function}", "function": function}
