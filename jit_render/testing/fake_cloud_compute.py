"""Compute Engine of the fake project: collections by place, operations that take their time, rules between things."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jit_render.testing.fake_cloud_rules import MESSAGES, check_message, check_thing, check_unused
from jit_render.testing.gcs_model import ApiError

Json = dict[str, Any]
_NAME = re.compile(r"^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$")
_FILTER = re.compile(r'^labels\.([\w-]+)(?:=|:| eq )"?([\w*-]+)"?$')
_PLACE = r"(?P<place>global|regions/[^/]+|zones/[^/]+|aggregated)"
_ROUTE = re.compile(
    rf"^projects/(?P<project>[^/]+)/{_PLACE}(?:/(?P<kind>\w+)(?:/(?P<name>[^/]+)(?:/(?P<verb>[^/]+))?)?)?$"
)
_IMAGES = {("debian-cloud", "debian-12"): "debian-12-bookworm-v20260310"}
TICKS = 6  # requests after which an operation is done though nobody waits for it


@dataclass
class Running:
    """An operation and what it does in the end."""

    shown: Json
    effect: Callable[[], None]
    asked: int = 0
    age: int = 0


class Compute:
    """All collections, keyed by (collection, place, name)."""

    def __init__(self, project: str, regions: Iterable[str]) -> None:
        self.things: dict[tuple[str, str, str], Json] = {}
        self.regions = list(regions)
        self.quotas: dict[str, float] = {"SUBNETWORKS": 100, "IN_USE_ADDRESSES": 8}
        self.guest_attributes: dict[str, dict[str, str]] = {}
        self.boots: Callable[[Json], dict[str, str]] = lambda _instance: {}
        """What a new VM says of itself by guest attributes, ``{"namespace/key": value}``."""
        self._project = project
        self._operations: dict[str, Running] = {}
        self._last_id = 1000

    def permission(self, method: str, path: str) -> str:
        match = _ROUTE.match(path.removeprefix("/compute/v1/"))
        kind, name, verb = (match["kind"], match["name"], match["verb"]) if match else ("", "", "")
        if kind is None:
            return "compute.regions.get"
        acts = {"POST": "create" if not name else str(verb), "DELETE": "delete", "PATCH": "update"}
        return f"compute.{kind}.{acts.get(method, 'get' if name else 'list')}"

    def pass_time(self) -> None:
        """Operations go on whether or not somebody waits."""
        for running in self._operations.values():
            running.age += 1
            if running.age >= TICKS:
                self._end(running)

    def put(self, kind: str, place: str, name: str, **fields: Any) -> None:
        """Have something there, past all checks: what somebody else made."""
        self._store(kind, place, {"name": name, **fields})

    def names(self, kind: str) -> list[str]:
        return sorted(name for of_kind, _, name in self.things if of_kind == kind)

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        match = _ROUTE.match(path)
        if match is None:
            raise ApiError(404, "notFound", f"No such method: {method} {path}")
        project, place, kind, name, verb = match.group("project", "place", "kind", "name", "verb")
        if kind == "images" and name == "family":
            return self._of_family(project, str(verb))
        if project != self._project:
            raise ApiError(403, "forbidden", f"Required permission for project {project!r}.")
        if kind is None:
            return self._region(place)
        if kind == "operations":
            return self._operation(str(name), waits=verb == "wait")
        if name is None and method == "GET":
            return self._list(kind, place, query)
        if name is None and method == "POST":
            return self._insert(kind, place, body)
        return self._one(method, (kind, place, str(name)), verb, query, body)

    def _one(self, method: str, key: tuple[str, str, str], verb: str | None, query: Json, body: Json) -> Json:
        kind, place, name = key
        if kind == "machineTypes" and method == "GET":
            return {"name": name, "guestCpus": int(name.rpartition("-")[2]), "zone": place.rpartition("/")[2]}
        thing = self.things.get(key)
        if thing is None:
            raise ApiError(
                404, "notFound", f"The resource 'projects/{self._project}/{place}/{kind}/{name}' was not found"
            )
        if verb == "getGuestAttributes":
            return self._attributes(name, query.get("queryPath", ""))
        if method == "GET":
            return copy.deepcopy(thing)
        if method == "DELETE":
            check_unused(self.things, kind, thing)
            return self._start("delete", place, lambda: self._remove(key))
        check_message(kind, body) if method == "PATCH" else None
        change = {"status": "TERMINATED"} if verb == "stop" else body
        return self._start(verb or "patch", place, lambda: thing.update(change))

    def _insert(self, kind: str, place: str, body: Json) -> Json:
        if kind not in MESSAGES:
            raise ApiError(404, "notFound", f"No such collection: {kind}")
        check_message(kind, body)
        name = str(body.get("name", ""))
        if not _NAME.match(name):
            raise ApiError(
                400, "invalid", f"Invalid value for field 'resource.name': '{name}'. Must match {_NAME.pattern}"
            )
        taken = any(running.shown.get("_key") == (kind, place, name) for running in self._operations.values())
        if (kind, place, name) in self.things or taken:
            where = f"projects/{self._project}/{place}/{kind}/{name}"
            raise ApiError(409, "alreadyExists", f"The resource '{where}' already exists")
        check_thing(self.things, self.regions, kind, place, body)
        answer = self._start("insert", place, lambda: self._store(kind, place, body))
        self._operations[answer["name"]].shown["_key"] = (kind, place, name)
        return answer

    def _store(self, kind: str, place: str, body: Json) -> None:
        self._last_id += 1
        link = f"https://www.googleapis.com/compute/v1/projects/{self._project}/{place}/{kind}/{body['name']}"
        thing = {
            "id": str(self._last_id),
            "selfLink": link,
            "creationTimestamp": "2026-09-01T12:00:00.000-07:00",
            **body,
        }
        if place != "global":
            thing[place.partition("/")[0].removesuffix("s")] = link.partition(f"/{kind}/")[0]
        self.things[(kind, place, str(body["name"]))] = copy.deepcopy(thing)
        if kind == "instances":
            self._boot(place, self.things[(kind, place, str(body["name"]))])
        elif kind in {"images", "disks", "snapshots"}:
            self.things[(kind, place, str(body["name"]))].setdefault("status", "READY")

    def _boot(self, place: str, instance: Json) -> None:
        """A running VM and the disks that came with it."""
        instance.setdefault("status", "RUNNING")
        for disk in instance.get("disks", []):
            made = disk.get("initializeParams")
            if made and disk.get("type") != "SCRATCH":
                size = str(made.get("diskSizeGb", disk.get("diskSizeGb", 10)))
                fields = {"sizeGb": size, "labels": made.get("labels", {}), "users": [instance["selfLink"]]}
                self._store(
                    "disks", place, {"name": instance["name"], "type": made.get("diskType", "pd-standard"), **fields}
                )
        self.guest_attributes[instance["name"]] = self.boots(instance)

    def _remove(self, key: tuple[str, str, str]) -> None:
        thing = self.things.pop(key, {})
        if key[0] == "instances" and any(disk.get("autoDelete") for disk in thing.get("disks", [])):
            self.things.pop(("disks", key[1], key[2]), None)

    def _list(self, kind: str, place: str, query: Json) -> Json:
        if kind == "zones":
            return {
                "items": [
                    {"name": f"{region}-{letter}", "status": "UP", "region": region}
                    for region in self.regions
                    for letter in "abc"
                ]
            }
        wanted = _FILTER.match(query["filter"]) if query.get("filter") else None
        if query.get("filter") and wanted is None:
            raise ApiError(400, "invalid", f"Invalid value for field 'filter': '{query['filter']}'.")
        found: dict[str, list[Json]] = {}
        for (of, where, _), thing in sorted(self.things.items()):
            if of == kind and place in {where, "aggregated"} and (wanted is None or _matches(thing, wanted)):
                found.setdefault(where, []).append(copy.deepcopy(thing))
        if place == "aggregated":
            return {"items": {where: {kind: things} for where, things in found.items()}}
        return {"items": found.get(place, [])}

    def _region(self, place: str) -> Json:
        name = place.rpartition("/")[2]
        if not place.startswith("regions/") or name not in self.regions:
            raise ApiError(404, "notFound", f"The resource 'projects/{self._project}/{place}' was not found")
        quotas = [{"metric": metric, "limit": limit, "usage": 0.0} for metric, limit in self.quotas.items()]
        zones = [f"projects/{self._project}/zones/{name}-{letter}" for letter in "abc"]
        return {"name": name, "status": "UP", "quotas": quotas, "zones": zones}

    def _of_family(self, project: str, family: str) -> Json:
        if project == self._project:
            alike = [
                thing
                for (kind, _, _), thing in self.things.items()
                if kind == "images" and thing.get("family") == family
            ]
            if alike:
                return copy.deepcopy(max(alike, key=lambda thing: int(thing["id"])))
        elif (project, family) in _IMAGES:
            name = _IMAGES[(project, family)]
            return {
                "name": name,
                "family": family,
                "status": "READY",
                "selfLink": f"projects/{project}/global/images/{name}",
            }
        raise ApiError(
            404, "notFound", f"The resource 'projects/{project}/global/images/family/{family}' was not found"
        )

    def _attributes(self, name: str, path: str) -> Json:
        said = self.guest_attributes.get(name, {})
        items = [
            {"namespace": key.partition("/")[0], "key": key.partition("/")[2], "value": value}
            for key, value in said.items()
            if key.startswith(path)
        ]
        if not items:
            raise ApiError(404, "notFound", f"The resource 'guestAttributes/{path}' was not found")
        return {"queryPath": path, "queryValue": {"items": items}}

    def _start(self, what: str, place: str, effect: Callable[[], None]) -> Json:
        self._last_id += 1
        where = "" if place == "global" else f"https://www.googleapis.com/compute/v1/projects/{self._project}/{place}"
        shown: Json = {
            "name": f"operation-{self._last_id}",
            "operationType": what,
            "status": "PENDING",
            "kind": "compute#operation",
        }
        if where:
            shown[place.partition("/")[0].removesuffix("s")] = where
        self._operations[str(shown["name"])] = Running(shown, effect)
        return dict(shown)

    def _operation(self, name: str, *, waits: bool) -> Json:
        running = self._operations.get(name)
        if running is None:
            raise ApiError(404, "notFound", f"The resource 'operations/{name}' was not found")
        running.asked += 1
        if running.asked >= 2 or (waits and running.asked >= 2):
            self._end(running)
        elif running.shown["status"] == "PENDING":
            running.shown["status"] = "RUNNING"
        return {key: value for key, value in running.shown.items() if key != "_key"}

    def _end(self, running: Running) -> None:
        if running.shown["status"] != "DONE":
            running.effect()
            running.shown.update(status="DONE", progress=100)
            running.shown.pop("_key", None)


def _matches(thing: Json, wanted: re.Match[str]) -> bool:
    value = (thing.get("labels") or thing.get("properties", {}).get("labels") or {}).get(wanted[1])
    return value is not None and wanted[2] in {value, "*"}
