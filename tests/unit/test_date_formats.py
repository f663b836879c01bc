"""A date by its format: what we accept, a Copy reads as the same moment."""

from datetime import UTC, datetime

import pytest

from devcloud.datafactory.dotnet import parse_datetime
from landfall.contract.folder import parse
from landfall.contract.formats import dotnet_pattern, moment_parser

WRITTEN = [
    ("yyyy-MM-ddTHH:mm:ssZ", "2024-03-10T14:22:35Z"),
    ("yyyy-MM-ddTHH:mm:ssZ", "2024-03-10T14:22:35+10:00"),
    ("yyyy-MM-ddTHH:mm:ssZ", "2024-03-10T14:22:35+1000"),
    ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-03-10T14:22:35.123+02:00"),
    ("yyyy-MM-dd'T'HH:mm:ssxxx", "2024-03-10T14:22:35-05:30"),
    ("yyyyMMdd'T'HHmmssXX", "20240310T142235-0530"),
    ("dd.MM.yyyy HH:mm", "10.03.2024 14:22"),
    ("d/M/uuuu H:mm", "1/3/2024 4:22"),
    ("'on' dd.MM.yyyy 'at' HH'h'mm", "on 10.03.2024 at 14h22"),
    ("yyyy''MM''dd HH:mm", "2024'03'10 14:22"),
]


@pytest.mark.parametrize(("pattern", "text"), WRITTEN)
def test_a_copy_reads_what_we_accept(pattern: str, text: str) -> None:
    """The pattern of the JDK and that of .NET mean the same moment."""
    parsed = moment_parser("timestamp", pattern, None)(text)

    assert isinstance(parsed, datetime)
    copied = parse_datetime(text, dotnet_pattern(pattern))
    assert parsed.astimezone(UTC).replace(tzinfo=None) == copied


def test_the_mapping_says_the_format() -> None:
    """Of dates in text; the day of 03/04/2026 is never left to a culture."""
    contract = parse(
        """
apiVersion: v3.2.0
kind: DataContract
id: t
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: day, logicalType: date, logicalTypeOptions: {format: dd/MM/yyyy}}
      - {name: plain, logicalType: date}
""",
        file="t",
    )

    assert [m["source"] for m in contract.translator("csv")["mappings"]] == [
        {"name": "day", "format": "dd/MM/yyyy"},
        {"name": "plain"},
    ]
    assert contract.translator("parquet")["mappings"][0]["source"] == {"name": "day"}
