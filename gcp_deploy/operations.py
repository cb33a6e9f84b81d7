"""Changes in Compute Engine: asked for, then waited for, by clients of our own endpoint.

The library's own ``result()`` polls the public endpoint whatever the client was made with, so changes are made with
the ``…_unary`` methods and waited for here. A name that is taken already (409) is what a killed run leaves behind whose
operation went on without us: the caller looks again.
"""

from __future__ import annotations

from typing import Any

from gcp_deploy.access import Cloud, translated
from jit_render.model.errors import CloudConflict, CloudError, CloudUnavailable

_PATIENCE_SECONDS = 1200.0  # an image of a large disk is the slowest operation there is here
_APPEARS_SECONDS = 60.0


def insert(cloud: Cloud, place: str, kind: str, **fields: Any) -> None:
    """Make a thing and wait until it is there; one that is being made already is waited for. Raises CloudError."""
    try:
        with translated(place):
            operation = cloud.compute(kind).insert_unary(project=cloud.project, **fields)
    except CloudConflict:
        _await_other(cloud, place, kind, fields)
        return
    finish(cloud, place, operation)


def _await_other(cloud: Cloud, place: str, kind: str, fields: dict[str, Any]) -> None:
    """Wait for what an earlier run of ours is still making."""
    from google.api_core.exceptions import NotFound

    resource = next(value for key, value in fields.items() if key.endswith("_resource"))
    key = next(key for key in fields if key.endswith("_resource")).removesuffix("_resource")
    where = {name: value for name, value in fields.items() if name in {"region", "zone"}}
    name = resource["name"] if isinstance(resource, dict) else resource.name
    deadline = cloud.clock.monotonic() + _APPEARS_SECONDS
    while cloud.clock.monotonic() < deadline:
        with translated(place):
            try:
                cloud.compute(kind).get(project=cloud.project, **{key: name}, **where)
            except NotFound:
                cloud.clock.sleep(1.0)
            else:
                return
    raise CloudUnavailable(f"{place}: somebody else is making it and is not done; run it again.")


def change(cloud: Cloud, place: str, kind: str, method: str, **fields: Any) -> None:
    """Call ``<method>_unary`` and wait for its end. Raises CloudError."""
    with translated(place):
        operation = getattr(cloud.compute(kind), f"{method}_unary")(project=cloud.project, **fields)
    finish(cloud, place, operation)


def finish(cloud: Cloud, place: str, operation: Any) -> None:
    """Wait until `operation` is done. Raises CloudError with what it says went wrong."""
    from google.cloud.compute_v1 import Operation

    where = {"zone": operation.zone, "region": operation.region}
    scope = next((name for name, url in where.items() if url), "")
    client = cloud.compute(f"{scope.title() or 'Global'}Operations")
    at = {scope: where[scope].rpartition("/")[2]} if scope else {}
    deadline = cloud.clock.monotonic() + _PATIENCE_SECONDS
    while operation.status != Operation.Status.DONE:
        if cloud.clock.monotonic() > deadline:
            raise CloudUnavailable(f"{place}: not done after {_PATIENCE_SECONDS / 60:.0f} minutes; run it again.")
        with translated(place):
            operation = client.wait(project=cloud.project, operation=operation.name, **at)
    if operation.error.errors:
        said = "; ".join(f"{each.code}: {each.message}" for each in operation.error.errors)
        raise CloudError(f"{place}: {said}.")
