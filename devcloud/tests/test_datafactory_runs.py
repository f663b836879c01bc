"""Pipelines of the local data factory, written here, started through the unmodified SDK."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from devcloud.testing.factory import FACTORY, GROUP, FactoryHost, configure, hosting, window


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FactoryHost]:
    """One factory for all tests here; each has pipelines of its own."""
    with hosting(configure(tmp_path_factory.mktemp("cloud"))) as running:
        yield running


def activity(name: str, kind: str, *after: str, **inside: Any) -> dict[str, Any]:
    """An activity; after is "Name:Condition"."""
    depends = [
        {"activity": each.split(":")[0], "dependencyConditions": each.split(":")[1].split("|")}
        for each in after
    ]
    return {"name": name, "type": kind, "dependsOn": depends, "typeProperties": inside}


def set_(name: str, variable: str, value: Any, *after: str) -> dict[str, Any]:
    """A SetVariable activity."""
    return activity(name, "SetVariable", *after, variableName=variable, value=value)


def fail(name: str, *after: str, message: str = "no") -> dict[str, Any]:
    """A Fail activity."""
    return activity(name, "Fail", *after, message=message, errorCode="500")


def web(name: str, path: str, *after: str, method: str = "POST", **inside: Any) -> dict[str, Any]:
    """A Web activity that calls the service of the test."""
    url = f"@concat(pipeline().globalParameters.serviceUrl, '{path}')"
    if method == "POST":
        inside.setdefault("body", {"run": "@pipeline().RunId"})
    return activity(name, "WebActivity", *after, url=url, method=method, **inside)


TEXT = {"x": {"type": "String"}}


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ([set_("Ok", "x", "1", "Bad:Failed")], "Succeeded"),
        ([set_("Ok", "x", "1", "Bad:Completed")], "Succeeded"),
        ([set_("Ok", "x", "1", "Bad:Succeeded")], "Failed"),
        ([set_("A", "x", "1", "Bad:Succeeded"), set_("B", "x", "2", "A:Skipped")], "Succeeded"),
        ([set_("A", "x", "1", "Bad:Succeeded"), set_("B", "x", "2", "A:Completed")], "Failed"),
        ([set_("A", "x", "1", "Bad:Failed"), set_("B", "x", "2", "Bad:Succeeded")], "Failed"),
        ([set_("A", "x", "1", "Bad:Failed|Succeeded")], "Succeeded"),
    ],
)
def test_outcome_is_that_of_the_leaves(
    host: FactoryHost, last: list[dict[str, Any]], status: str
) -> None:
    """A run succeeds if its leaves do; a skipped leaf is validated by what it depended on."""
    host.pipeline("leaves", fail("Bad"), *last, variables=TEXT)
    assert status == host.run("leaves").status


def test_a_failure_is_told_with_its_activity(host: FactoryHost) -> None:
    """The message of a failed run names the activity and its message."""
    host.pipeline("failing", fail("Stop", message="@concat('be', 'cause')"))
    run = host.run("failing")
    assert run.message == "Operation on target Stop failed: because"
    error = host.activities(run.run_id)["Stop"]["error"]
    assert (error["errorCode"], error["failureType"]) == ("500", "UserError")


def test_parameters_come_back_as_strings(host: FactoryHost) -> None:
    """Defaults apply, types are kept in expressions, and the run shows every value as text."""
    declared = {
        "n": {"type": "int", "defaultValue": 3},
        "o": {"type": "object"},
        "secret": {"type": "SecureString"},
    }
    value = "@concat(string(add(pipeline().parameters.n, 1)), pipeline().parameters.o.a)"
    host.pipeline("typed", set_("S", "x", value), parameters=declared, variables=TEXT)
    run = host.run("typed", o={"a": "!"}, secret="s3cret")
    assert run.parameters == {"n": "3", "o": '{"a":"!"}', "secret": "**********"}
    assert host.activities(run.run_id)["S"]["output"]["value"] == "4!"


@pytest.mark.parametrize("given", [{}, {"n": "many"}, {"n": 1, "m": 2}, {"n": True}])
def test_wrong_parameters_are_refused(host: FactoryHost, given: dict[str, Any]) -> None:
    """A missing, ill-typed or undeclared parameter starts nothing."""
    host.pipeline("strict", fail("F"), parameters={"n": {"type": "int"}})
    with pytest.raises(Exception, match="parameter") as error:
        host.start("strict", **given)
    assert error.value.status_code == 400  # type: ignore[attr-defined]


def test_foreach_runs_every_item_and_fails_after_a_failure(host: FactoryHost) -> None:
    """All iterations are tried, each with its own item; one that fails fails the loop."""
    branch = [
        activity(
            "If",
            "IfCondition",
            expression="@equals(item(), 2)",
            ifTrueActivities=[fail("Two", message="@string(item())")],
            ifFalseActivities=[
                activity("Keep", "AppendVariable", variableName="l", value="@item()")
            ],
        )
    ]
    each = activity("Each", "ForEach", items="@range(1, 4)", isSequential=True, activities=branch)
    seen = set_("Seen", "x", "@join(variables('l'), ',')", "Each:Failed")
    host.pipeline("loop", each, seen, variables={**TEXT, "l": {"type": "Array"}})
    run = host.run("loop")
    assert run.status == "Succeeded"
    assert host.activities(run.run_id)["Seen"]["output"]["value"] == "1,3,4"
    message = host.activities(run.run_id)["Each"]["error"]["message"]
    assert "Inner activity name: Two, Error: 2" in message


def test_until_switch_filter_and_wait(host: FactoryHost) -> None:
    """Until repeats until its condition holds; Switch takes the case of that text."""
    grow = activity("Grow", "AppendVariable", variableName="l", value="x")
    pause = activity("Pause", "Wait", "Grow:Succeeded", waitTimeInSeconds=1)
    loop = activity(
        "Loop", "Until", expression="@equals(length(variables('l')), 3)", activities=[grow, pause]
    )
    odd = activity(
        "Odd",
        "Filter",
        "Loop:Succeeded",
        items="@range(1, 5)",
        condition="@equals(mod(item(),2),1)",
    )
    choose = activity(
        "Choose",
        "Switch",
        "Odd:Succeeded",
        on="@string(activity('Odd').output.FilteredItemsCount)",
        cases=[{"value": "3", "activities": [set_("Three", "x", "three")]}],
        defaultActivities=[fail("Other")],
    )
    host.pipeline("steer", loop, odd, choose, variables={**TEXT, "l": {"type": "Array"}})
    run = host.run("steer")
    assert run.status == "Succeeded"
    found = host.activities(run.run_id)
    assert found["Loop"]["output"] == {"iterations": 3}
    assert found["Odd"]["output"]["Value"] == [1, 3, 5]
    assert found["Three"]["status"] == "Succeeded"


def test_execute_pipeline_waits_and_passes_failure_on(host: FactoryHost) -> None:
    """A child gets its parameters; with waitOnCompletion its failure is the parent's."""
    host.pipeline(
        "child",
        fail("F", message="@pipeline().parameters.why"),
        parameters={"why": {"type": "string"}},
    )
    call = activity(
        "Call",
        "ExecutePipeline",
        pipeline={"referenceName": "child", "type": "PipelineReference"},
        parameters={"why": "@concat('for ', 'this')"},
        waitOnCompletion=True,
    )
    host.pipeline("parent", call)
    run = host.run("parent")
    assert run.status == "Failed"
    assert "for this" in run.message
    child = host.activities(run.run_id)["Call"]["output"]["pipelineRunId"]
    invoked = host.ended(child).invoked_by
    assert (invoked.invoked_by_type, invoked.name) == ("PipelineActivity", "parent")


def test_web_retries_by_its_policy_and_masks_what_is_secure(host: FactoryHost) -> None:
    """A failed try is repeated; each try is an activity run; secure values are not shown."""
    host.service.replies["/flaky"] = [(503, {"e": 1}), (503, {"e": 2}), (200, {"granted": True})]
    call = web("Call", "/flaky", headers={"x-functions-key": "k"})
    call["policy"] = {
        "timeout": "0.00:10:00",
        "retry": 2,
        "retryIntervalInSeconds": 30,
        "secureInput": True,
        "secureOutput": True,
    }
    after = set_("After", "x", "@string(activity('Call').output.granted)", "Call:Succeeded")
    host.pipeline("web", call, after, variables=TEXT)
    run = host.run("web")
    assert run.status == "Succeeded"
    assert host.service.bodies("/flaky") == [{"run": run.run_id}] * 3
    found = host.activities(run.run_id)
    assert (found["Call"]["input"], found["Call"]["output"]) == ({}, {})
    assert found["After"]["output"]["value"] == "True"


@pytest.mark.parametrize("reply", [(200, "hello"), (200, "[1]"), (404, {"title": "gone"})])
def test_web_fails_on_what_is_no_good_object(host: FactoryHost, reply: tuple[int, Any]) -> None:
    """A reply must be a JSON object with a good status; the error quotes the status."""
    host.service.replies["/odd"] = reply
    host.pipeline("odd", web("Odd", "/odd", method="GET"))
    run = host.run("odd")
    assert run.status == "Failed"
    assert f"'{reply[0]}'" in run.message


def test_an_expression_without_value_fails_its_activity(host: FactoryHost) -> None:
    """The error code is InvalidTemplate and the message quotes the expression."""
    host.service.replies["/plain"] = (200, {"a": 1})
    call = web("Call", "/plain", method="GET")
    use = set_("Use", "x", "@activity('Call').output.b", "Call:Succeeded")
    host.pipeline("novalue", call, use, variables=TEXT)
    run = host.run("novalue")
    error = host.activities(run.run_id)["Use"]["error"]
    assert error["errorCode"] == "InvalidTemplate"
    assert "property 'b' doesn't exist" in error["message"]


def test_cancel_ends_the_run_and_what_it_started(host: FactoryHost) -> None:
    """A recursive cancel reaches the child; both end Cancelled, and are cancelled again at ease."""
    host.pipeline(
        "slow",
        activity(
            "Forever",
            "Until",
            expression="@equals(1, 2)",
            activities=[activity("W", "Wait", waitTimeInSeconds=1)],
        ),
    )
    call = activity(
        "Call",
        "ExecutePipeline",
        pipeline={"referenceName": "slow", "type": "PipelineReference"},
        waitOnCompletion=True,
    )
    host.pipeline("outer", call)
    run_id = host.start("outer")
    children: list[Any] = []
    deadline = time.monotonic() + 10
    while not children and time.monotonic() < deadline:
        query = window(filters=[_equals("PipelineName", "slow"), _equals("Status", "InProgress")])
        found: Any = host.client.pipeline_runs.query_by_factory
        children = found(GROUP, FACTORY, query).value
    for _ in range(2):
        host.client.pipeline_runs.cancel(GROUP, FACTORY, run_id, is_recursive=True)
        assert host.ended(run_id).status == "Cancelled"
    assert [host.ended(child.run_id).status for child in children] == ["Cancelled"]


def _equals(operand: str, value: str) -> dict[str, Any]:
    return {"operand": operand, "operator": "Equals", "values": [value]}


def test_concurrency_queues_runs_and_refuses_the_101st(host: FactoryHost) -> None:
    """Over its concurrency a pipeline queues runs, 100 at most; a queued run can be cancelled."""
    forever = activity(
        "Forever",
        "Until",
        expression="@equals(1, 2)",
        activities=[activity("W", "Wait", waitTimeInSeconds=1)],
    )
    host.pipeline("narrow", forever, concurrency=1)
    first = host.start("narrow")
    queued = [host.start("narrow") for _ in range(100)]
    assert (host.status(first), host.status(queued[0])) == ("InProgress", "Queued")
    with pytest.raises(Exception, match="queued") as error:
        host.start("narrow")
    assert error.value.status_code == 429  # type: ignore[attr-defined]
    for run_id in [*reversed(queued), first]:
        host.client.pipeline_runs.cancel(GROUP, FACTORY, run_id)
    assert host.ended(queued[0]).status == "Cancelled"
    assert host.ended(first).status == "Cancelled"


def test_fifty_runs_at_once(host: FactoryHost) -> None:
    """Runs do not wait for one another."""
    host.service.replies["/many"] = (200, {"ok": True})
    host.pipeline("many", web("Call", "/many"))
    runs = [host.start("many") for _ in range(50)]
    assert {"Succeeded"} == {host.ended(run_id).status for run_id in runs}
    assert sorted(body["run"] for body in host.service.bodies("/many")) == sorted(runs)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (activity("A", "DatabricksNotebook", notebookPath="x"), "DatabricksNotebook"),
        (set_("A", "x", "@frobnicate(1)"), "frobnicate"),
        (set_("A", "y", "1"), "no variable 'y'"),
        (set_("A", "x", "@activity('B').output"), "activity('B')"),
        (set_("A", "x", "@variables('x')"), "set from itself"),
        (set_("A", "x", "@concat('a'"), "expected ')'"),
        (set_("A", "x", "@item()"), "item()"),
        (activity("A", "Wait", waitTimeInSeconds=1, colour="red"), "colour"),
        (activity("A", "Wait"), "waitTimeInSeconds"),
        ({**activity("A", "Wait", waitTimeInSeconds=1), "policy": {"color": 1}}, "color"),
        (
            {**web("A", "/x"), "typeProperties": {"url": "x", "method": "GET", "datasets": [1]}},
            "datasets",
        ),
        ({**web("A", "/x"), "policy": {"timeout": "ten"}}, "time span"),
        (activity("A", "Wait", "Z:Succeeded", waitTimeInSeconds=1), "'Z'"),
        (activity("A", "Wait", "A:Succeeded", waitTimeInSeconds=1), "depends on itself"),
        (
            activity(
                "A",
                "ExecutePipeline",
                pipeline={"referenceName": "nowhere", "type": "PipelineReference"},
            ),
            "nowhere",
        ),
    ],
)
def test_what_is_not_known_is_refused(
    host: FactoryHost, broken: dict[str, Any], named: str
) -> None:
    """A definition that cannot be carried out to the letter is not stored."""
    with pytest.raises(Exception, match="BadRequest") as error:
        host.pipeline("broken", broken, variables=TEXT)
    assert error.value.status_code == 400  # type: ignore[attr-defined]
    assert named in error.value.message  # type: ignore[attr-defined]


def test_until_looks_at_its_own_activities(host: FactoryHost) -> None:
    """Poll until done: the condition, and what comes after, ask for what is inside the loop."""
    host.service.replies["/poll"] = [(200, {"state": "busy"}), (200, {"state": "done"})]
    loop = activity(
        "Loop",
        "Until",
        expression="@equals(activity('Poll').output.state, 'done')",
        activities=[web("Poll", "/poll")],
    )
    seen = set_("Seen", "x", "@activity('Poll').output.state", "Loop:Succeeded")
    host.pipeline("polling", loop, seen, variables=TEXT)
    run = host.run("polling")
    assert run.status == "Succeeded", run.message
    done = host.activities(run.run_id)
    assert done["Loop"]["output"] == {"iterations": 2}
    assert done["Seen"]["output"]["value"] == "done"


def test_what_depends_on_a_container_sees_inside(host: FactoryHost) -> None:
    """Of a condition and a switch too; of a loop over items, and before the container, not."""
    inner = set_("Inner", "x", "deep")
    nested = activity(
        "Choose",
        "Switch",
        on="a",
        cases=[{"value": "a", "activities": [inner]}],
    )
    outer = activity("Outer", "Until", expression="@equals(1, 1)", activities=[nested])
    after = set_("After", "y", "@activity('Inner').output.value", "Outer:Succeeded")
    texts = {**TEXT, "y": {"type": "String"}}
    host.pipeline("inside", outer, after, variables=texts)
    run = host.run("inside")
    assert host.activities(run.run_id)["After"]["output"]["value"] == "deep"
    each = activity("Outer", "ForEach", items="@range(1, 2)", activities=[inner])
    for broken in ([each, after], [outer, {**after, "dependsOn": []}]):
        with pytest.raises(Exception, match="is not one that this activity depends on"):
            host.pipeline("blind", *broken, variables=texts)


def test_until_goes_on_after_a_failure(host: FactoryHost) -> None:
    """A pipeline that tries again until it works; the last iteration decides."""
    host.service.replies["/flaky"] = [(500, {}), (500, {}), (200, {})]
    grow = activity("Grow", "AppendVariable", variableName="l", value="x")
    call = {**web("Call", "/flaky", "Grow:Succeeded"), "policy": {"retry": 0}}
    worked = "@equals(activity('Call').Status, 'Succeeded')"
    lists = {"l": {"type": "Array"}}
    host.pipeline(
        "again",
        activity("Loop", "Until", expression=worked, activities=[grow, call]),
        variables=lists,
    )
    run = host.run("again")
    assert run.status == "Succeeded", run.message
    assert host.activities(run.run_id)["Loop"]["output"] == {"iterations": 3}
    enough = "@greater(length(variables('l')), 2)"
    loop = activity("Loop", "Until", expression=enough, activities=[grow, fail("Stop")])
    host.pipeline("never", loop, variables=lists)
    run = host.run("never")
    assert (run.status, host.activities(run.run_id)["Loop"]["output"]) == (
        "Failed",
        {"iterations": 3},
    )


def test_a_return_value(host: FactoryHost) -> None:
    """What a pipeline returns is in the output of the activity that has executed it."""
    value = [
        {"key": "text", "value": {"type": "String", "content": "a"}},
        {"key": "sum", "value": {"type": "Expression", "content": "@add(1, 2)"}},
        {
            "key": "list",
            "value": {
                "type": "Array",
                "content": [{"type": "Int", "content": 1}, {"type": "Null"}],
            },
        },
        {
            "key": "deep",
            "value": {
                "type": "Object",
                "content": [{"key": "yes", "value": {"type": "Boolean", "content": True}}],
            },
        },
    ]
    give = activity(
        "Give",
        "SetVariable",
        variableName="pipelineReturnValue",
        value=value,
        setSystemVariable=True,
    )
    host.pipeline("returning", give)
    call = activity(
        "Call",
        "ExecutePipeline",
        pipeline={"referenceName": "returning", "type": "PipelineReference"},
        waitOnCompletion=True,
    )
    seen = set_("Seen", "x", "@activity('Call').output.pipelineReturnValue.text", "Call:Succeeded")
    host.pipeline("calling", call, seen, variables=TEXT)
    run = host.run("calling")
    assert run.status == "Succeeded", run.message
    done = host.activities(run.run_id)
    assert done["Call"]["output"]["pipelineReturnValue"] == {
        "text": "a",
        "sum": 3,
        "list": [1, None],
        "deep": {"yes": True},
    }
    assert done["Seen"]["output"]["value"] == "a"


def test_what_studio_writes_by_itself(host: FactoryHost) -> None:
    """A whole policy in an activity that steers, and properties that switch something off."""
    policy = {"timeout": "0.12:00:00", "retry": 3, "retryIntervalInSeconds": 30}
    wait = {**activity("W", "Wait", waitTimeInSeconds=1), "policy": policy}
    stop = {**fail("Stop", "W:Succeeded"), "policy": policy}
    call = web("Call", "/studio", "W:Succeeded", datasets=[], linkedServices=[])
    host.pipeline("studio", wait, stop, call, lastModifiedByObjectId="x")
    run = host.run("studio")
    tries = [name for name in host.activities(run.run_id) if name == "Stop"]
    assert (run.status, tries) == ("Failed", ["Stop"])
