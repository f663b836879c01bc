"""Activities that steer: variables, branches, loops, waiting, failing, other pipelines."""

from __future__ import annotations

import asyncio
from typing import Any

from devcloud.datafactory.activities.frame import Activity, ActivityError, Effect, Frame, wrong
from devcloud.datafactory.expressions.arguments import to_text
from devcloud.datafactory.policy import parse_span

_DEFAULT_BATCH = 20
_VARIABLE_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "bool": (bool,),
    "boolean": (bool,),
    "array": (list,),
    "integer": (int,),
}


async def set_variable(activity: Activity, frame: Frame, effect: Effect) -> None:
    """SetVariable; or what the pipeline returns to the one that executes it."""
    inside = activity["typeProperties"]
    if inside.get("setSystemVariable") is True:
        frame.run.returned.update(_returned(frame, inside["value"]))
        effect.output = {"name": inside["variableName"], "value": dict(frame.run.returned)}
        return
    name, value = inside["variableName"], frame.evaluate(inside["value"])
    effect.input = {"variableName": name, "value": value}
    type_name = str(frame.roots["_variable_types"][name]).lower()
    if not isinstance(value, _VARIABLE_TYPES[type_name]):
        raise wrong(f"the value of the variable {name!r}", f"of type {type_name}", value)
    frame.variables[name] = value
    effect.output = {"name": name, "value": value}


def _returned(frame: Frame, entries: Any) -> dict[str, Any]:
    """An object written as a list of keys with typed values."""
    listed = entries if isinstance(entries, list) else [entries]
    return {entry["key"]: _content(frame, entry["value"]) for entry in listed}


def _content(frame: Frame, value: dict[str, Any]) -> Any:
    content = value.get("content")
    match value["type"]:
        case "Null":
            return None
        case "Object":
            return _returned(frame, content)
        case "Array":
            return [_content(frame, item) for item in content or []]
        case "Expression":
            return frame.evaluate(content)
        case _:
            return content


async def append_variable(activity: Activity, frame: Frame, effect: Effect) -> None:
    """AppendVariable."""
    inside = activity["typeProperties"]
    name, value = inside["variableName"], frame.evaluate(inside["value"])
    effect.input = {"variableName": name, "value": value}
    present = frame.variables[name]
    if not isinstance(present, list):
        raise wrong(f"the variable {name!r}", "an array", present)
    # A new list: what an earlier expression was given must not change behind its back.
    frame.variables[name] = [*present, value]
    effect.output = {"name": name, "value": value}


async def wait(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Wait."""
    seconds = frame.evaluate(activity["typeProperties"]["waitTimeInSeconds"])
    effect.input = {"waitTimeInSeconds": seconds}
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 1:
        raise wrong("waitTimeInSeconds", "an integer of at least 1", seconds)
    await frame.services.clock.sleep(seconds)


async def fail(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Fail: ends with the error that it is told."""
    values = frame.evaluate(activity["typeProperties"])
    effect.input = values
    raise ActivityError(to_text(values["errorCode"]), to_text(values["message"]), final=True)


async def filter_items(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Filter."""
    inside = activity["typeProperties"]
    items = _items(frame, inside["items"])
    kept = [item for item in items if _condition(frame, inside["condition"], item=item)]
    effect.output = {
        "ItemsCount": len(items),
        "FilteredItemsCount": len(kept),
        "Value": kept,
    }


async def if_condition(activity: Activity, frame: Frame, effect: Effect) -> None:
    """IfCondition."""
    inside = activity["typeProperties"]
    chosen = _condition(frame, inside["expression"])
    effect.input = {"expression": chosen}
    branch = "ifTrueActivities" if chosen else "ifFalseActivities"
    await _inside(inside.get(branch, []), frame, frame.inner())


async def switch(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Switch: the case with exactly that text, or the default."""
    inside = activity["typeProperties"]
    on = frame.evaluate(inside["on"])
    if not isinstance(on, str):
        raise wrong("on", "a string", on)
    effect.input = {"on": on}
    for case in inside.get("cases", []):
        if case["value"] == on:
            await _inside(case["activities"], frame, frame.inner())
            return
    await _inside(inside.get("defaultActivities", []), frame, frame.inner())


async def _inside(activities: list[Activity], frame: Frame, inner: Frame) -> None:
    """Run activities that those after the container, and an Until itself, may ask about."""
    try:
        await frame.branch(activities, inner)
    finally:
        frame.results.update(inner.results.maps[0])


async def for_each(activity: Activity, frame: Frame, effect: Effect) -> None:
    """ForEach: every item is tried, also after one that failed."""
    inside = activity["typeProperties"]
    items = _items(frame, inside["items"])
    effect.input = {"itemsCount": len(items)}
    at_once = 1 if inside.get("isSequential", False) else inside.get("batchCount", _DEFAULT_BATCH)
    gate = asyncio.Semaphore(at_once)

    async def one(number: int, item: Any) -> ActivityError | None:
        async with gate:
            try:
                iteration = f"{frame.iteration}/{activity['name']}:{number}"
                await frame.branch(inside["activities"], frame.inner(iteration, item=item))
            except ActivityError as error:
                return error
        return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, item)) for number, item in enumerate(items)]
    for task in tasks:
        error = task.result()
        if error is not None:
            raise error


async def until(activity: Activity, frame: Frame, effect: Effect) -> None:
    """Until: again until the condition holds, also after an iteration that failed.

    The last iteration decides whether it has succeeded.
    """
    inside = activity["typeProperties"]
    limit = parse_span(frame.evaluate(inside.get("timeout", "0.12:00:00")))
    deadline = frame.services.clock.now() + limit
    number = 0
    while True:
        failure: ActivityError | None = None
        try:
            inner = frame.inner(f"{frame.iteration}/{activity['name']}:{number}")
            await _inside(inside["activities"], frame, inner)
        except ActivityError as error:
            failure = error
        number += 1
        effect.output = {"iterations": number}
        if _condition(frame, inside["expression"]):
            if failure is not None:
                raise failure
            return
        if frame.services.clock.now() >= deadline:
            raise ActivityError("UntilTimeout", f"the condition did not hold within {limit}")


async def execute_pipeline(activity: Activity, frame: Frame, effect: Effect) -> None:
    """ExecutePipeline."""
    inside = activity["typeProperties"]
    name = inside["pipeline"]["referenceName"]
    values = frame.evaluate(inside.get("parameters", {}))
    effect.input = {"pipelineName": name, "parameters": values}
    child = frame.services.execute(frame.run, name, values)
    effect.output = {"pipelineName": name, "pipelineRunId": child.run_id}
    if not inside.get("waitOnCompletion", False):
        return
    ended = await frame.services.wait(child.run_id)
    if ended.returned:
        effect.output["pipelineReturnValue"] = ended.returned
    if ended.status != "Succeeded":
        raise ActivityError(
            "2100",
            f"the pipeline {name!r} ended {ended.status} (run {child.run_id}): {ended.message}",
            output=effect.output,
        )


def _items(frame: Frame, value: Any) -> list[Any]:
    items = frame.evaluate(value)
    if not isinstance(items, list):
        raise wrong("items", "an array", items)
    return items


def _condition(frame: Frame, value: Any, **roots: Any) -> bool:
    result = frame.evaluate(value, **roots)
    if not isinstance(result, bool):
        raise wrong("the condition", "a boolean", result)
    return result
