"""The types of activities and what carries them out."""

from __future__ import annotations

from devcloud.datafactory.activities import control, data, web
from devcloud.datafactory.activities.frame import Handler

HANDLERS: dict[str, Handler] = {
    "AppendVariable": control.append_variable,
    "Copy": data.copy,
    "Delete": data.delete,
    "ExecutePipeline": control.execute_pipeline,
    "Fail": control.fail,
    "Filter": control.filter_items,
    "ForEach": control.for_each,
    "GetMetadata": data.get_metadata,
    "IfCondition": control.if_condition,
    "Lookup": data.lookup,
    "SetVariable": control.set_variable,
    "Switch": control.switch,
    "Until": control.until,
    "Wait": control.wait,
    "WebActivity": web.web,
}
