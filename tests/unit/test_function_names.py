"""The names, triggers and routes of the functions, which others have written down elsewhere."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Event Grid subscriptions and Data Factory pipelines hold these; a rename loses events silently.
EXPECTED = """
on_landing blobTrigger landing/{dataset}/{name}
ingest httpTrigger FUNCTION POST /ingest
advance queueTrigger landfall-runs
advance_poison queueTrigger landfall-runs-poison
reconcile timerTrigger %LANDFALL_TICK%
list_runs httpTrigger FUNCTION GET /runs
get_run httpTrigger FUNCTION GET /runs/{run_id}
get_report httpTrigger FUNCTION GET /runs/{run_id}/report
cancel_run httpTrigger FUNCTION POST /runs/{run_id}/cancel
retry_run httpTrigger FUNCTION POST /runs/{run_id}/retry
replay_run httpTrigger FUNCTION POST /runs/{run_id}/replay
resend_rejects httpTrigger FUNCTION POST /runs/{run_id}/resend
start_replay httpTrigger FUNCTION POST /replays
forget httpTrigger FUNCTION POST /datasets/{dataset}/forget
list_erasures httpTrigger FUNCTION GET /erasures
get_erasure httpTrigger FUNCTION GET /erasures/{erasure_id}
get_replay httpTrigger FUNCTION GET /replays/{replay_id}
get_backlog httpTrigger FUNCTION GET /backlog
list_datasets httpTrigger FUNCTION GET /datasets
get_contract httpTrigger FUNCTION GET /datasets/{dataset}/contract
put_contract httpTrigger FUNCTION PUT /datasets/{dataset}/contract
delete_contract httpTrigger FUNCTION DELETE /datasets/{dataset}/contract
list_sources httpTrigger FUNCTION GET /sources
get_source httpTrigger FUNCTION GET /sources/{source}
get_source_object httpTrigger FUNCTION GET /sources/{source}/{object}
get_source_run httpTrigger FUNCTION GET /sources/{source}/runs/{adf_run_id}
plan_extracts httpTrigger FUNCTION POST /sources/{source}/plan
extract_source httpTrigger FUNCTION POST /sources/{source}/extract
begin_extract httpTrigger FUNCTION POST /sources/{source}/{object}/begin
finish_extract httpTrigger FUNCTION POST /sources/{source}/{object}/finish
fail_extract httpTrigger FUNCTION POST /sources/{source}/{object}/fail
extract_object httpTrigger FUNCTION POST /sources/{source}/{object}/extract
rewind_object httpTrigger FUNCTION POST /sources/{source}/{object}/rewind
pause_object httpTrigger FUNCTION POST /sources/{source}/{object}/pause
resume_object httpTrigger FUNCTION POST /sources/{source}/{object}/resume
health httpTrigger ANONYMOUS GET /health
openapi httpTrigger FUNCTION GET /openapi.json
docs httpTrigger ANONYMOUS GET /docs
console httpTrigger ANONYMOUS GET /console/{*path}
console_verb httpTrigger ANONYMOUS POST /console/{*path}
fence httpTrigger FUNCTION POST /runs/{run_id}/attempts/{attempt_id}/fence
callback httpTrigger FUNCTION POST /runs/{run_id}/attempts/{attempt_id}/callback
"""
LIST = """
import function_app
for function in function_app.app.get_functions():
    trigger = function.get_trigger().get_dict_repr()
    match trigger["type"]:
        case "httpTrigger":
            methods = ",".join(map(str, trigger["methods"]))
            details = f"{trigger['authLevel']} {methods} /{trigger['route']}"
        case "queueTrigger":
            details = trigger["queueName"]
        case "blobTrigger":
            assert str(trigger["source"]) == "EVENT_GRID" or trigger["source"] == "EventGrid"
            details = trigger["path"]
        case "timerTrigger":
            details = trigger["schedule"]
            assert not trigger.get("runOnStartup")
    print(function.get_function_name(), trigger["type"], details)
"""


def test_function_names_are_frozen() -> None:
    """An event for a name that does not exist is answered 202 and lost: names never change."""
    ended = subprocess.run(
        [sys.executable, "-c", LIST], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(EXPECTED.split("\n")[1:-1]) == sorted(ended.stdout.splitlines())
