"""Mutations of the product at places that matter, and which test sees each.

    python -m tests.faults.mutations [NAME ...]

Each mutation takes away one guard, in a copy of the repository, and the tests below are run until
one fails. A mutation that no test sees makes the command fail, and so does one whose text is not
in the file any more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# Quick ones first.
TESTS = (
    "tests/ingest/test_many_instances.py",
    "tests/ingest/test_attempts.py",
    "tests/ingest/test_contract_versions.py",
    "tests/ingest/test_other_sides.py",
    "tests/ingest/test_requests_of_people.py",
    "tests/ingest/test_copy.py",
    "tests/ingest/test_patience.py",
    "tests/unit/test_batching.py",
    "tests/unit/test_run.py",
    "tests/ingest/test_load.py",
    "tests/faults/test_many.py",
    "tests/unit/test_validate_progress.py",
    "tests/ingest/test_verbs.py",
    "tests/ingest/test_interleavings.py",
)
COPIED = ("ingest", "landfall", "tests", "devcloud", "marketplace", "adf", "pyproject.toml")


@dataclass(frozen=True)
class Mutation:
    """A change of one place in one file."""

    name: str
    file: str
    before: str
    after: str


MUTATIONS = (
    Mutation(
        "a member is ended whatever batch it is in",
        "ingest/stages/load/batch.py",
        'return self.batch_id == joined or self.batch_id.startswith(f"{joined}.")',
        "return True",
    ),
    Mutation(
        "batch ids are of the second alone",
        "ingest/stages/load/batch.py",
        "{secrets.token_hex(8)}",
        "0",
    ),
    Mutation(
        "a batch is closed without its ETag",
        "ingest/stages/load/documents.py",
        "self.lake.rename(source, target, etag=etag)",
        "self.lake.rename(source, target)",
    ),
    Mutation(
        "a batch is rewritten without its ETag",
        "ingest/stages/load/documents.py",
        "dump(batch), if_match=etag)",
        "dump(batch))",
    ),
    Mutation(
        "a batch is formed over another",
        "ingest/stages/load/documents.py",
        "etag = self.lake.put(path, dump(batch), if_absent=True)",
        "etag = self.lake.put(path, dump(batch))",
    ),
    Mutation(
        "whoever finds a batch marks its members",
        "ingest/stages/load/stage.py",
        "members.enlist(batch, in_order=in_order) if current.new else members.marked(batch)",
        "members.enlist(batch, in_order=in_order)",
    ),
    Mutation(
        "the last of a failed batch is blamed for all",
        "ingest/stages/load/ending.py",
        "if len(batch.drops) == 1:\n            self.members.fail",
        "if len(waiting) <= 1:\n            self.members.fail",
    ),
    Mutation(
        "halving forgets who was put back",
        "ingest/stages/load/ending.py",
        "self.members.each(others, batch, put_back)",
        "None",
    ),
    Mutation(
        "drops of two contracts share a batch",
        "ingest/stages/load/batching.py",
        "if _contract(run) == _contract(ready[0])",
        "if True",
    ),
    Mutation(
        "a batch takes members of another contract",
        "ingest/stages/load/members.py",
        "or contract_of(run) != batch.contract",
        "",
    ),
    Mutation(
        "order does not count unannounced files",
        "ingest/stages/load/batching.py",
        "*([unclaimed] if unclaimed else [])",
        "",
    ),
    Mutation(
        "filed documents are remembered",
        "ingest/runs/register.py",
        "if not stored.run.final and stored.path == active_document(stored.run.run_id):",
        "if True:",
    ),
    Mutation(
        "a step that wrote nothing is done with",
        "ingest/stages/way.py",
        "                if messages is not None:\n                    return messages",
        "                return messages or []",
    ),
    Mutation(
        "the fence grants from memory",
        "ingest/stages/copy.py",
        "if not fresh and (refusal or granted):",
        "if not fresh and refusal:",
    ),
    Mutation(
        "the fence lets any attempt through",
        "ingest/stages/copy.py",
        "if run.copy.attempt_id != attempt_id:",
        "if False:",
    ),
    Mutation(
        "attempts to copy share a folder",
        "ingest/stages/copy.py",
        "folder=paths.bronze_folder(run.dataset, run.run_id, attempt_id),",
        "folder=paths.bronze_folder(run.dataset, run.run_id),",
    ),
    Mutation(
        "attempts to validate share a folder",
        "ingest/stages/validate/outputs.py",
        'return f"v{secrets.token_hex(6)}"',
        'return "v"',
    ),
    Mutation(
        "an attempt in vain leaves what it wrote",
        "ingest/stages/validate/stage.py",
        "        except Stale:\n            self._clear(places, report)\n            raise",
        "        except Stale:\n            raise",
    ),
    Mutation(
        "same content is not looked for",
        "ingest/runs/contents.py",
        "if holder and not self._restates(run, holder, contract):",
        "if False:",
    ),
    Mutation(
        "a failed run is not told who takes its content",
        "ingest/runs/contents.py",
        "self.manifest.update(stored, replace(stored.run, content_taken_by=other))",
        "pass",
    ),
    Mutation(
        "the retry does not check the content",
        "ingest/operations/operators.py",
        "if holder := contents.holder(run, run.verdict.sha256, report, attempt):",
        "if holder := None:",
    ),
    Mutation(
        "a report is not kept when its note gives way",
        "ingest/runs/contents.py",
        "self._set_aside(run.dataset, note)",
        "pass",
    ),
    Mutation(
        "the ghost of a filed run is not noticed",
        "ingest/runs/register.py",
        "self._move(stored, target, if_absent=True)",
        "self._move(stored, target)",
    ),
    Mutation(
        "the claim does not look for a filed run",
        "ingest/stages/claim.py",
        "if archived := manifest.archived(run.run_id):",
        "if archived := None:",
    ),
    Mutation(
        "a collision of ids is not noticed",
        "ingest/runs/register.py",
        "if (mine.path, mine.etag) != (other.path, other.etag):",
        "if False:",
    ),
    Mutation(
        "the load goes by the deployed contract",
        "ingest/stages/load/stage.py",
        "return self._context.contracts.of(dataset, digest).table()",
        "return self._context.contracts.of(dataset, None).table()",
    ),
    Mutation(
        "a retry does not look at the contract",
        "ingest/operations/operators.py",
        "run.verdict.digest != deployed.digest",
        "False",
    ),
    Mutation(
        "contracts are not kept",
        "ingest/stages/validate/stage.py",
        "self.context.contracts.keep(contract)",
        "pass",
    ),
    Mutation(
        "a removed dataset's drops are quarantined",
        "ingest/stages/validate/stage.py",
        "self.context.contracts.ever(run.dataset)",
        "False",
    ),
    Mutation(
        "a refusal is an outage",
        "ingest/azure/lake.py",
        "    403: AccessDenied,",
        "    403: Unavailable,",
    ),
    Mutation(
        "waiting for a person has no end",
        "ingest/runs/run.py",
        "if now - run.blocked.since >= longest:",
        "if False:",
    ),
    Mutation(
        "a refused start is a new attempt each time",
        "ingest/stages/copy.py",
        "        if stored.run.blocked:\n            return self.start(stored)\n",
        "",
    ),
    Mutation(
        "one damaged document stops the list",
        "ingest/runs/register.py",
        "            except Damaged as error:\n                once(log.error",
        "            except KeyError as error:\n                once(log.error",
    ),
    Mutation(
        "a damaged table is the drop's fault",
        "ingest/stages/validate/references.py",
        "    except (GeneratorExit, Retryable, ReferenceUnavailable):",
        "    except BaseException:",
    ),
    Mutation(
        "histories are not folded",
        "ingest/runs/run.py",
        "if len(history) <= max(FULL, 3 * period):",
        "if True:",
    ),
    Mutation(
        "metadata are not cut",
        "ingest/runs/document.py",
        "while len(text) > _FIT and",
        "while False and",
    ),
    Mutation(
        "any time of a lease is believed",
        "ingest/runs/run.py",
        "return now < until <= now + longest + SKEW",
        "return now < until",
    ),
    Mutation(
        "a lease that ran out a day ago is a death",
        "ingest/stages/validate/stage.py",
        "if timedelta(0) <= self.context.clock() - lease.until <= _PLAUSIBLE:",
        "if True:",
    ),
    Mutation(
        "Parquet renews no lease while it is validated",
        "landfall/validation/engine.py",
        "            self._tell()\n            before = validator.rows",
        "            before = validator.rows",
    ),
    Mutation(
        "each instance lets the whole room through",
        "ingest/stages/copy_limit.py",
        "self._share = self._room // SHARES",
        "self._share = self._room",
    ),
    Mutation(
        "callers may name themselves",
        "ingest/http/web.py",
        'if env.get("WEBSITE_AUTH_ENABLED", "").lower() != "true":',
        "if False:",
    ),
)


def seen_by(mutation: Mutation, root: Path) -> str | None:
    """The first test that fails under a mutation; None where none does."""
    file = root / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.before) != 1:
        raise SystemExit(
            f"{mutation.name}: {mutation.file} has its text {text.count(mutation.before)} times"
        )
    file.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "-m",
                "not slow",
                "--timeout=60",
                "-k",
                "not test_a_mutation_is_of_the_code_as_it_is",
                *TESTS,
            ],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
    except subprocess.TimeoutExpired:
        return "a test that does not come to its end"
    finally:
        file.write_text(text, encoding="utf-8")
    found = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return found[1] if found else None


def main() -> None:
    """Print the table; exit with 1 where a mutation is seen by nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutations")
    parser.add_argument("names", nargs="*", help="only mutations whose names have one of these")
    names = parser.parse_args().names
    say = sys.stdout.write
    say("| mutation | seen by | s |\n|---|---|---|\n")
    unseen = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        root.mkdir()
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        for mutation in MUTATIONS:
            if names and not any(each in mutation.name for each in names):
                continue
            began = time.monotonic()
            test = seen_by(mutation, root)
            unseen += test is None
            say(f"| {mutation.name} | {test or 'nothing'} | {time.monotonic() - began:.0f} |\n")
            sys.stdout.flush()
    say(f"\n{unseen} are seen by nothing\n")
    sys.exit(1 if unseen else 0)


if __name__ == "__main__":
    main()
