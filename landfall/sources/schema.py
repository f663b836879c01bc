"""The shape of a source file, `sources/<name>.yaml`: its JSON Schema, by which it is checked."""

from __future__ import annotations

from landfall.sources import durations
from landfall.sources.shape import (
    Schema,
    choice,
    constant,
    count,
    either,
    flag,
    listing,
    moment,
    ratio,
    record,
    text,
    texts,
)

API_VERSION = "landfall/v1"
URL = "https://json-schema.org/draft/2020-12/schema"
DATABASES = ("postgresql", "azuresql")
CONNECTORS = (*DATABASES, "rest", "http")

_NAME = r"[a-z][a-z0-9_]{0,39}"
_NAME_FORM = "a name has up to 40 of a-z, 0-9 and _, and begins with a letter"
_WORD = r"[^\x00-\x1f]{1,128}"
_WORD_FORM = "1 to 128 characters are needed, no control characters"


def _length(description: str, **more: str) -> Schema:
    return text(description, durations.PATTERN, durations.FORM, **more)


def _word(description: str, **more: str) -> Schema:
    return text(description, _WORD, _WORD_FORM, **more)


def _secret(what: str) -> Schema:
    return text(
        f"Name of the secret in the key vault with {what}.",
        r"[0-9A-Za-z-]{1,127}",
        "a secret of a key vault has up to 127 of A-Z, a-z, 0-9 and - in its name",
    )


def _bound(description: str) -> Schema:
    form = "a number or a date is needed, in quotes"
    return text(description, r"[0-9A-Za-z:. +-]{1,40}", form)


_SERVER = text(
    "Host name or address of the server.",
    r"[A-Za-z0-9.:_-]{1,253}",
    "a host name or address is needed, without a scheme",
)
_PATH = text(
    "Path and query, added to the connection's `url`. `{low}` and `{high}` stand for the ends of "
    "the range.",
    r"[!-~]{1,2000}",
    "ASCII without blanks is needed; encode others as %20",
)

POSTGRESQL = record(
    "How PostgreSQL is reached.",
    ("server", "database", "username", "auth"),
    server=_SERVER,
    port=count("TCP port.", 1, 65535, default=5432),
    database=_word("Name of the database."),
    username=_word("The role that reads."),
    auth=record(
        "How the role proves who it is.",
        ("kind", "secret"),
        kind=constant("password"),
        secret=_secret("the role's password"),
    ),
    sslMode=choice(
        "What is asked of TLS; `disable` is for a laptop.",
        "disable",
        "require",
        "verify-ca",
        "verify-full",
        default="require",
    ),
)
AZURESQL = record(
    "How Azure SQL is reached.",
    ("server", "database", "auth"),
    server=_SERVER,
    database=_word("Name of the database."),
    auth=record(
        "How the login proves who it is.",
        ("kind", "username", "secret"),
        kind=constant("password"),
        username=_word("The login that reads."),
        secret=_secret("the login's password"),
    ),
)
_NO_AUTH = record("Nothing is asked for.", ("kind",), kind=constant("none"))
_BASIC_AUTH = record(
    "User name and password.",
    ("kind", "username", "secret"),
    kind=constant("basic"),
    username=_word("The user."),
    secret=_secret("the user's password"),
)
_BASE_URL = text(
    "Base URL; paths of objects are added to it.",
    r"https?://[!-~]+/",
    "an http or https URL is needed that ends in /",
)
REST = record(
    "How the API is reached.",
    ("url",),
    url=_BASE_URL,
    auth=either(
        "How the caller proves who it is.",
        _NO_AUTH,
        _BASIC_AUTH,
        record(
            "A key in the header X-Api-Key.",
            ("kind", "secret"),
            kind=constant("api_key"),
            secret=_secret("the key"),
        ),
        record(
            "OAuth 2.0 client credentials.",
            ("kind", "tokenEndpoint", "clientId", "secret"),
            kind=constant("oauth2"),
            tokenEndpoint=text(
                "URL that gives tokens.", r"https?://[!-~]+", "an http or https URL is needed"
            ),
            clientId=_word("Id of the client."),
            secret=_secret("the client's secret"),
            scope=_word("The scopes, with blanks between.", default=""),
        ),
    ),
    interval=_length("Pause between two pages.", default="1s"),
    timeout=_length("How long an answer may take.", default="100s"),
)
HTTP = record(
    "How the server is reached.",
    ("url",),
    url=_BASE_URL,
    auth=either("How the caller proves who it is.", _NO_AUTH, _BASIC_AUTH),
    timeout=_length("How long an answer may take.", default="100s"),
)

_WHEN: dict[str, Schema] = {
    "enabled": flag("Whether a deployment starts the trigger.", default=True),
    "description": text("Shown in Data Factory.", default=""),
}
SCHEDULE = either(
    "When the objects are extracted; left out: by hand.",
    record(
        "At intervals.",
        ("every",),
        every=text(
            "The interval: 15m, 6h, 1d, 2w, 1mo.",
            r"[1-9][0-9]{0,2}(?:m|h|d|w|mo)",
            "an interval is a number and m, h, d, w or mo, such as 15m or 1d",
        ),
        at=listing(
            "Times of day, for intervals of days, weeks and months.",
            text(
                "hh:mm",
                r"(?:[01][0-9]|2[0-3]):[0-5][0-9]",
                "a time of day is needed, in quotes, such as '03:10'",
            ),
        ),
        weekDays=listing(
            "For intervals of weeks.",
            choice(
                "A day of the week.",
                *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
            ),
        ),
        monthDays=listing(
            "For intervals of months: 1 to 31, or -1 for the last day.",
            {"type": "number", "minimum": -31, "maximum": 31, "description": "A day of a month."},
        ),
        timeZone=_word("Time zone, by the name Windows has for it.", default="UTC"),
        start=moment("Intervals are counted from here.", default="2026-01-01T00:00:00+00:00"),
        end=moment("No start after it."),
        **_WHEN,
    ),
    record(
        "By windows of time without gaps, oldest first; a start in the past is a backfill.",
        ("window", "start"),
        window=text(
            "Length of a window: from 5m, or hours.",
            r"[1-9][0-9]{0,3}(?:m|h)",
            "a window is a number and m or h, such as 15m or 24h",
        ),
        start=moment("Begin of the first window."),
        end=moment("End of the last window."),
        delay=_length("How long after its end a window is read."),
        atOnce=count("How many windows are read at once.", 1, 50, default=1),
        retries=count("How often a failed window is read again.", 0, 20, default=2),
        retryAfter=_length("Pause before that, from 30s.", default="5m"),
        after=listing(
            "Sources whose windows have to be delivered first.", _word("Name of a source.")
        ),
        inOrder=flag("A window waits for the one before it.", default=False),
        **_WHEN,
    ),
    record(
        "When something happens.",
        ("event",),
        event=either(
            "What happens.",
            record(
                "A file is written in the lake's account.",
                ("kind", "container"),
                kind=constant("storage"),
                container=text(
                    "Its container; not `landing`, where the service listens.",
                    r"(?!landing$)[a-z0-9-]{3,63}",
                    "the name of a container other than landing is needed",
                ),
                folder=_word("It lies in this folder.", default=""),
                suffix=_word("Its name ends so.", default=""),
            ),
            record(
                "An event is published on a topic of Event Grid.",
                ("kind", "topic", "types"),
                kind=constant("custom"),
                topic=text(
                    "Resource id of the topic.",
                    r"/subscriptions/[!-~]+",
                    "a resource id is needed: /subscriptions/…/topics/…",
                ),
                types=listing("Types of the events.", _word("A type.")),
                subject=_word("The subject begins so.", default=""),
            ),
        ),
        **_WHEN,
    ),
)

_LAG = _length(
    "Rows younger than this are left for the next time: transactions that take longer than the "
    "lag can be overtaken. Default: 2m.",
)
_OVERLAP = (
    "This much before the watermark is read again, for what came late. A length of time, or, for "
    "integers, a number. Default: none."
)
_COMMON: dict[str, Schema] = {
    "name": text("Name of the object.", _NAME, _NAME_FORM),
    "dataset": text("The dataset that it feeds; it needs a contract.", r"[a-z0-9][a-z0-9_]{0,62}",
                    "the name of a dataset is needed"),
    "order": count("Objects with smaller numbers are started first.", default=0),
    "every": _length("Not extracted more often than this; for `full`."),
    "enabled": flag("Whether schedules extract it.", default=True),
}  # fmt: skip
TABLE = record(
    "One table or view.",
    ("name", "dataset", "table", "mode"),
    **_COMMON,
    table=text(
        "The table or view, with its schema: public.orders.",
        r"[^.\x00-\x1f]{1,63}(?:\.[^.\x00-\x1f]{1,63}){0,2}",
        "the name of a table is needed, with its schema: public.orders",
    ),
    mode=choice(
        "full: all of it each time; incremental: what changed since the watermark; window: the "
        "window of the schedule.",
        *("full", "incremental", "window"),
    ),
    watermark=record(
        "The column that tells what has changed.",
        ("column", "type"),
        column=_word("Its name. Each change of a row must give it a later value."),
        type=choice(
            "timestamp: without time zone, in UTC; timestamptz: with one; integer: numbers that "
            "grow.",
            *("timestamp", "timestamptz", "integer"),
        ),
        nulls=choice("What becomes of rows without a value.", "include", "exclude",
                     default="include"),
    ),
    lag=_LAG,
    overlap=text(_OVERLAP, rf"{durations.PATTERN}|[0-9]{{1,12}}", durations.FORM),
    columns=listing("Columns to read. Default: those of the contract.", _word("A column.")),
    where=text("SQL condition on the rows that are read, without subqueries."),
    deletes=either(
        "How rows that were deleted become known. Default: not at all.",
        record("Not at all.", ("kind",), kind=constant("none")),
        record(
            "Deleted rows stay in the table and say so.",
            ("kind", "column"),
            kind=constant("flag"),
            column=_word("A deleted row has a value here: the contract's `deletedWhen`."),
        ),
        record(
            "The keys that are left are compared with those of silver, by `deletedWhen`.",
            ("kind",),
            kind=constant("compare"),
            every=_length("How often.", default="1d"),
            maxDeletedRatio=ratio("More than this share is taken for a fault.", default=0.2),
        ),
    ),
    partition=record(
        "Read in parts, by ranges of a column, at once.",
        ("column",),
        column=_word("Integer or date column whose ranges make the parts."),
        lower=_bound("Bound of the first part. Default: the least value."),
        upper=_bound("Bound of the last part. Default: the greatest value."),
    ),
)  # fmt: skip
_UNTIL = either(
    "What ends the pages, where it is not an answer without content.",
    record("The list at this JSONPath is empty.", ("empty",), empty=_word("A JSONPath.")),
    record("There is nothing at this JSONPath.", ("missing",), missing=_word("A JSONPath.")),
    record(
        "The value at this JSONPath is this text.",
        ("path", "equals"),
        path=_word("A JSONPath."),
        equals=_word("A text."),
    ),
)
_PARAMETER = text(
    "Name of the query parameter.", r"[A-Za-z0-9_.~-]{1,100}", "the name of a parameter is needed"
)
_MOST = count("No more pages than this.", 1, 1_000_000)
PAGES = either(
    "How the answer goes on. Default: it does not.",
    record("One page.", ("kind",), kind=constant("none")),
    record(
        "The body has the URL of the next page.",
        ("kind", "next"),
        kind=constant("link"),
        next=_word("JSONPath of the URL, such as paging.next."),
        until=_UNTIL,
        most=_MOST,
    ),
    record(
        "A Link header has it, after RFC 5988.", ("kind",), kind=constant("rfc5988"), most=_MOST
    ),
    record(
        "By the number of records passed over.",
        ("kind", "parameter", "step"),
        kind=constant("offset"),
        parameter=_PARAMETER,
        step=count("Records of a page.", 1),
        start=count("The first value.", default=0),
        until=_UNTIL,
        most=_MOST,
    ),
    record(
        "By the number of the page.",
        ("kind", "parameter"),
        kind=constant("page"),
        parameter=_PARAMETER,
        start=count("The first page.", default=1),
        until=_UNTIL,
        most=_MOST,
    ),
    record(
        "Each page names the next.",
        ("kind", "parameter", "next"),
        kind=constant("cursor"),
        parameter=_PARAMETER,
        next=text(
            "Where the next value is: a JSONPath, or header:NAME.",
            r"[!-~]{1,200}",
            "a JSONPath or header:NAME is needed",
        ),
        until=_UNTIL,
        most=_MOST,
    ),
)
_RANGED: dict[str, Schema] = {
    "mode": choice(
        "full: without a range; incremental: from the last watermark to now; window: the window "
        "of the schedule.",
        *("full", "incremental", "window"),
    ),
    "lag": _LAG,
    "overlap": text(_OVERLAP, durations.PATTERN, durations.FORM),
    "timeFormat": choice(
        "How `{low}` and `{high}` are written.",
        *("iso", "date", "unix", "unix_ms"),
        default="iso",
    ),
    "headers": texts("Headers to send.", _word("A value.")),
}
ENDPOINT = record(
    "One list of records of the API.",
    ("name", "dataset", "path", "mode"),
    **_COMMON,
    path=_PATH,
    **_RANGED,
    records=_word("JSONPath of the list in a page. Default: the page is the list."),
    fields=texts(
        "JSONPath of a contract's column in a record, where it differs from its name.",
        _word("A JSONPath."),
    ),
    pages=PAGES,
)
FILE = record(
    "One file of the server.", ("name", "dataset", "path", "mode"), **_COMMON, path=_PATH, **_RANGED
)


def _source(connector: str, title: str, connection: Schema, entry: Schema) -> Schema:
    return record(
        title,
        ("connector", "apiVersion", "kind", "name", "connection", "objects"),
        apiVersion=constant(API_VERSION),
        kind=constant("Source"),
        name=text("Name of the source, and of its file.", _NAME, _NAME_FORM),
        description=text("What it is.", default=""),
        connector=constant(connector),
        connection=connection,
        schedule=SCHEDULE,
        objects=listing("What is extracted.", entry),
    )


SOURCE: Schema = {
    "$schema": URL,
    "title": "Landfall source",
} | either(
    "One system that Data Factory extracts from.",
    _source("postgresql", "A PostgreSQL database.", POSTGRESQL, TABLE),
    _source("azuresql", "An Azure SQL database. Untried: no laptop has one.", AZURESQL, TABLE),
    _source("rest", "A REST API.", REST, ENDPOINT),
    _source("http", "Files of an HTTP server.", HTTP, FILE),
)  # fmt: skip
