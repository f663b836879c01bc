"""Names in the lake: what stands where, and which identity a landed file has.

A lake path is `container/key`, with `/` between the segments of the key and no leading slash.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from ingest.errors import BadRequest
from landfall.protocol import GOLD_DEFINITIONS, LANDING, RESEND, dataset_of, day_and_dataset
from landfall.sources.ranges import EXTRACT_ID

RAW, QUARANTINE, BRONZE, MANIFEST = "raw", "quarantine", "bronze", "manifest"
SILVER = "silver"
ACTIVE = f"{MANIFEST}/active/"
ARCHIVE = f"{MANIFEST}/runs/"
INDEX = f"{MANIFEST}/index/"
REPLAYS, REPLAYS_DONE = f"{MANIFEST}/replays/open/", f"{MANIFEST}/replays/done/"
ERASURES, ERASURES_ENDED = f"{MANIFEST}/erasures/open/", f"{MANIFEST}/erasures/done/"
ERASURE_SECRET = f"{MANIFEST}/erasures/secret"
"""What the keys of erased subjects are hashed with."""
PULSE = f"{MANIFEST}/pulse.json"
"""When the next tick is due while something is active."""
PUSHED = f"{MANIFEST}/contracts-pushed/"
"""The contracts that are in force besides those of the project's folder, or instead of them."""
DAYS = f"{MANIFEST}/days/"
REPORT = "report.json"


_LANDED_EXTRACT = re.compile(rf"/[a-z0-9_]+-[a-z0-9_]+-{EXTRACT_ID.pattern}(?:\.[^/]*)?$")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
MARKER = "_SUCCESS"
"""Closes a folder: what Spark and Hadoop write last."""
_MARKERS = (MARKER, "_committed", "_started")


def is_drop(landing_path: str, folders: Collection[str] = ()) -> bool:
    """Whether a landed file is data rather than a writer's marker or temporary file.

    In the `folders`, datasets whose drops are folders, it is the marker that stands for a drop, and
    the files beside it are none by themselves. What lies in no folder there is a drop as elsewhere.

    Spark and Hadoop commit by `_SUCCESS`, `_temporary/`, `_committed_*` and `_started_*` and leave
    `.crc` files; a name that ends in `.tmp` is being written and will be renamed.
    """
    *above, name = landing_path.split("/")
    if dataset_of(landing_path) in folders and len(above) > 2 and above[2] != RESEND:  # noqa: PLR2004
        return name == MARKER
    marker = name.startswith(_MARKERS) or "_temporary" in above
    return not marker and not name.endswith((".tmp", ".crc"))


def ending(path: str) -> str:
    """What a file's name has after its first dot, with the dot; empty where there is none."""
    return "".join(path.rsplit("/", 1)[-1].partition(".")[1:])


def safe_name(landing_path: str) -> str:
    """The file's name as it is kept in raw: ASCII without blanks, `%` or glob characters.

    Data Factory and Spark read some of those as wildcards or escapes. The name as it was delivered
    stays in the run's source.
    """
    name = _UNSAFE.sub("_", landing_path.rsplit("/", 1)[-1]).lstrip("._-") or "drop"
    stem, dot, extensions = name.partition(".")
    return f"{stem[:100]}{dot}{extensions[-40:]}"


def active_document(run_id: str) -> str:
    """Where the document of a run stands until the run is final."""
    return f"{ACTIVE}{run_id}.json"


def archived_document(run_id: str) -> str:
    """Where the document of a final run is filed: by dataset, and the day its drop landed."""
    return f"{ARCHIVE}{_shelf(run_id)}/{run_id}.json"


def index_entry(state: str, run_id: str) -> str:
    """Where a run that ended in an uncommon state is noted, so that it is found among many."""
    return f"{INDEX}{state}/{_shelf(run_id)}/{run_id}.json"


def _shelf(run_id: str) -> str:
    named = day_and_dataset(run_id)
    if named is None:
        raise BadRequest(f"{run_id!r} is not a run id", status=404)
    day, dataset = named
    return f"{dataset}/{day}"


def day_document(dataset: str, day: str) -> str:
    """Where the figures of a dataset's drops stand that landed on a day (`YYYYMMDD`)."""
    return f"{DAYS}{dataset}/{day}.json"


def contract_document(dataset: str, digest: str) -> str:
    """Where a version of a contract is kept that was in force."""
    return f"{contracts_folder(dataset)}{digest}.odcs.yaml"


def contracts_folder(dataset: str) -> str:
    """The versions of a dataset's contract that were in force."""
    return f"{MANIFEST}/contracts/{dataset}/"


CURRENT_GOLD_DEFINITIONS = GOLD_DEFINITIONS
"""The gold tables of the app that was deployed last."""


def gold_definitions(digest: str) -> str:
    """Where a version of the definitions of gold tables is kept."""
    return f"{MANIFEST}/definitions/gold-{digest}.json"


def raw_folder(dataset: str, run_id: str) -> str:
    """The folder of what validation makes of a drop that it accepts."""
    return f"{RAW}/{dataset}/{run_id}"


def judging_folder(dataset: str, run_id: str) -> str:
    """What the attempts of a validation by Databricks leave, each in a folder of its number."""
    return f"{raw_folder(dataset, run_id)}/judging"


def raw_file(dataset: str, run_id: str, landing_path: str, reopened: int = 0) -> str:
    """Where a claimed file stands: right in its dataset's folder, so that none has to be made.

    `reopened` says how often its run was taken up again when the file came there.
    """
    return f"{raw_folder(dataset, run_id)}-{_kept_name(landing_path, reopened)}"


def quarantine_folder(dataset: str, run_id: str) -> str:
    """The folder of what a drop's validation refused: the file itself, or its rejected rows."""
    return f"{QUARANTINE}/{dataset}/{run_id}"


def findings_folder(dataset: str, run_id: str, attempt: str) -> str:
    """What one attempt at a validation found: rejects, reasons, the report of a refusal."""
    return f"{quarantine_folder(dataset, run_id)}/{attempt}"


def attempt_folder(dataset: str, run_id: str, attempt: str) -> str:
    """What one attempt at a validation made of an accepted drop: its Parquet, its report."""
    return f"{raw_folder(dataset, run_id)}/{attempt}"


def quarantined_file(dataset: str, run_id: str, landing_path: str, reopened: int = 0) -> str:
    """Where a refused file stands; `reopened` as in `raw_file`."""
    return f"{quarantine_folder(dataset, run_id)}/{_kept_name(landing_path, reopened)}"


def _kept_name(landing_path: str, reopened: int) -> str:
    name = safe_name(landing_path)
    return f"again{reopened}-{name}" if reopened else name


def copy_attempt(run_id: str, number: int) -> str:
    """The name of an attempt to copy a run; the documents of earlier releases have no `a` in it."""
    return f"{run_id}.a{number}"


def bronze_folder(dataset: str, run_id: str, attempt_id: str | None = None) -> str:
    """The folder that one attempt to copy a run writes, whole.

    Earlier releases had one folder a run, whatever the attempt.
    """
    own = attempt_id is not None and attempt_id.startswith(f"{run_id}.a")
    return f"{BRONZE}/{dataset}/{attempt_id if own else run_id}"


def content_document(dataset: str, sha256: str) -> str:
    """Where the acceptance of one content for one dataset is noted, with its report."""
    return f"{MANIFEST}/content/{dataset}/{sha256}"


def current_batch(dataset: str) -> str:
    """Where the one batch of a dataset that is being loaded stands."""
    return f"{MANIFEST}/batches/{dataset}/current.json"


def done_batch(dataset: str, batch_id: str) -> str:
    """Where a batch is filed when its load has ended."""
    return f"{MANIFEST}/batches/{dataset}/done/{batch_id}.json"


def results_folder(dataset: str, batch_id: str) -> str:
    """Where the load job leaves its result document, as a part file."""
    return f"{MANIFEST}/results/{dataset}/{batch_id}/"


def resend_folder(dataset: str, run_id: str) -> str:
    """Where corrected rejects of a run are dropped: what lands below it is linked to that run."""
    return f"{LANDING}/{dataset}/{RESEND}/{run_id}"


def resend_links(run_id: str) -> str:
    """The folder with one empty file for each run that brought corrected rejects of this one."""
    return f"{MANIFEST}/resends/{run_id}/"


def request_document(request: str) -> str:
    """Where the answer to a request with an idempotency key is kept."""
    return f"{MANIFEST}/requests/{request}.json"


def erasure_document(erasure_id: str, *, ended: bool = False) -> str:
    """Where an erasure stands while it is open, and where its protocol is kept."""
    return f"{ERASURES_ENDED if ended else ERASURES}{erasure_id}.json"


def erasure_result(erasure_id: str, passes: int, attempt: int) -> str:
    """The folder in which the job says what it has erased from the tables."""
    return f"{MANIFEST}/erasures/results/{erasure_id}.{passes}.{attempt}"


def replay_document(replay_id: str, *, done: bool = False) -> str:
    """Where the list of the runs of one replay stands."""
    return f"{REPLAYS_DONE if done else REPLAYS}{replay_id}.json"


def source_state(source: str, entry: str) -> str:
    """Where the state of an object of a source stands: its watermark, and what is under way."""
    return f"{MANIFEST}/sources/{source}/{entry}/state.json"


def extract_document(source: str, entry: str, extract_id: str) -> str:
    """Where it is noted that an extract was delivered."""
    return f"{MANIFEST}/sources/{source}/{entry}/extracts/{extract_id}.json"


def staged_extracts(source: str, entry: str) -> str:
    """The folder of what pipeline runs read of an object."""
    return f"{RAW}/_extracts/{source}/{entry}/"


def staged_extract(source: str, entry: str, name: str) -> str:
    """Where a pipeline run writes what it reads: nothing there is a drop, and no dataset's folder.

    It lies in the container raw, which needs the same rights; what failed runs leave there may be
    deleted after a week.
    """
    return f"{staged_extracts(source, entry)}{name}"


def landed_extract(dataset: str, source: str, entry: str, name: str) -> str:
    """Where an extract lands; `name` is its id with the suffix of its file."""
    return f"{LANDING}/{dataset}/{source}-{entry}-{name}"


def is_extract(path: str) -> bool:
    """Whether a landed path is that of an extract."""
    return _LANDED_EXTRACT.search(path) is not None


def split(path: str) -> tuple[str, str]:
    """Container and key of a lake path."""
    container, _, key = path.partition("/")
    return container, key


def landing_path(text: str, account_hosts: frozenset[str]) -> str:
    """The lake path of a landed file, from how a caller names it.

    Args:
        text: `landing/users/may.csv`, or the file's https or abfss URL.
        account_hosts: `host[:port][/account]` prefixes that are this lake.

    Raises:
        BadRequest: another account, another container, an empty or dotted segment.
    """
    path = _of_url(text, account_hosts) if "://" in text else text
    segments = path.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise BadRequest(f"path {text!r} has an empty, '.' or '..' segment")
    if any(ord(character) < 32 or ord(character) == 127 for character in path):  # noqa: PLR2004
        raise BadRequest(f"path {text!r} has a control character")
    if segments[0] != LANDING or len(segments) == 1:
        raise BadRequest(
            f"path {text!r} is not in the {LANDING!r} container; say {LANDING}/<dataset>/<file>"
        )
    return path


def _of_url(text: str, account_hosts: frozenset[str]) -> str:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadRequest(f"path {text!r} is not a URL: {error}") from error
    path = unquote(parts.path).lstrip("/")
    if parts.scheme in ("abfss", "abfs"):
        container, _, host = parts.netloc.rpartition("@")
        place, path = host, f"{container}/{path}"
    elif parts.scheme in ("https", "http"):
        place = parts.netloc
        account, _, rest = path.partition("/")
        if f"{place}/{account}" in account_hosts:
            place, path = f"{place}/{account}", rest
    else:
        raise BadRequest(f"path {text!r}: scheme {parts.scheme!r} is not https or abfss")
    if place.lower() not in account_hosts:
        raise BadRequest(f"path {text!r} is in another storage account than this service's")
    return path
