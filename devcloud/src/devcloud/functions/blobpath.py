"""Names of blobs: from the URL of an event, and against the path pattern of a trigger. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

_PARAMETER = re.compile(r"\{(\w+)\}")


def parse_url(url: str) -> tuple[str, str]:
    """Container and blob name of a blob's URL, percent-decoded once.

    An account in the path (endpoints by IP address or localhost) is left out as in the SDKs.

    Raises:
        ValueError: the URL names no blob.
    """
    parts = urlsplit(url)
    segments = parts.path.lstrip("/").split("/")
    if _is_path_style(parts.hostname or ""):
        segments = segments[1:]
    container, blob = segments[0] if segments else "", "/".join(segments[1:])
    if not container or not blob:
        raise ValueError(f"{url!r} is not the URL of a blob")
    return unquote(container), unquote(blob)


def compile_pattern(path: str) -> re.Pattern[str]:
    """The pattern of a blob trigger's path such as `landing/{dataset}/{name}`.

    A parameter of the blob's part matches slashes too, the earlier the longer, as in the real
    host; one of the container's part does not.
    """
    container, _, blob = path.partition("/")
    return re.compile(f"{_regex(container, '[^/]+')}/{_regex(blob, '.+') or '.+'}", re.DOTALL)


def _regex(template: str, parameter: str) -> str:
    parts = _PARAMETER.split(template)  # literal, name, literal, name, ..., literal
    return "".join(
        f"(?P<{part}>{parameter})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )


def _is_path_style(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
