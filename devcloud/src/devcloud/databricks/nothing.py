"""What tools ask a workspace for first, and what this one has none of: lists that are empty."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from devcloud.databricks.errors import invalid

EMPTY_LISTS: dict[str, dict[str, Any]] = {
    "/api/2.1/clusters/list": {"clusters": []},
    "/api/2.1/clusters/list-node-types": {"node_types": []},
    "/api/2.1/clusters/list-zones": {"zones": [], "default_zone": ""},
    "/api/2.0/policies/clusters/list": {"policies": [], "total_count": 0},
    "/api/2.0/policy-families": {"policy_families": []},
    "/api/2.0/instance-pools/list": {"instance_pools": []},
    "/api/2.0/sql/warehouses": {"warehouses": []},
    "/api/2.0/sql/queries": {"results": []},
    "/api/2.0/sql/alerts": {"results": []},
    "/api/2.0/lakeview/dashboards": {"dashboards": []},
    "/api/2.0/pipelines": {"statuses": []},
    "/api/2.0/serving-endpoints": {"endpoints": []},
    "/api/2.0/repos": {"repos": []},
    "/api/2.0/git-credentials": {"credentials": []},
    "/api/2.0/token/list": {"token_infos": []},
    "/api/2.0/global-init-scripts": {"scripts": []},
    "/api/2.0/preview/scim/v2/Groups": {"Resources": [], "totalResults": 0, "startIndex": 1},
}
"""Path -> the whole answer: the workspace has none of these things."""


def spark_versions(_query: dict[str, Any]) -> dict[str, Any]:
    """`clusters/spark-versions`: the one Spark that runs every task."""
    spark = version("pyspark")
    return {"versions": [{"key": f"{spark}-local", "name": f"local Spark {spark}"}]}


def configuration(query: dict[str, Any]) -> dict[str, Any]:
    """`workspace-conf`: no setting was made."""
    keys = [key for key in str(query.get("keys", "")).split(",") if key]
    if not keys:
        raise invalid("The query must name keys.")
    return dict.fromkeys(keys)
