"""Buckets of the fake Cloud Storage as things of their own: settings, access policy, life and end.

As the public reference of the JSON API has it: settings are validated and merged (a PATCH replaces whole lists), a
policy is changed with the etag it was read with (else 412), conditions need version 3
and uniform access, a bucket that holds objects cannot be deleted.
"""

from __future__ import annotations

import base64
import copy
import json
import threading
from typing import TYPE_CHECKING, Any

from jit_render.testing.gcs_fields import select
from jit_render.testing.gcs_model import ApiError, Bucket, Objects

if TYPE_CHECKING:
    from jit_render.testing.gcs_api import Ask

WEEK_SECONDS = 7 * 24 * 3600
_MOST_RETENTION = 90 * 24 * 3600
_ACTIONS = {"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"}
_SETTINGS = {
    "iamConfiguration",
    "labels",
    "lifecycle",
    "location",
    "name",
    "softDeletePolicy",
    "storageClass",
    "versioning",
}


class Buckets:
    """The calls on buckets, by kind of request; each returns the JSON document of its answer."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = threading.RLock()

    def bucket(self, ask: Ask) -> dict[str, Any]:
        return select(_shown(self._objects.bucket(ask.bucket)), ask.query.get("fields"))

    def buckets(self, ask: Ask) -> dict[str, Any]:
        begins = ask.query.get("prefix", "")
        names = [name for name in self._objects.buckets() if name.startswith(begins)]
        items = [_shown(self._objects.bucket(name)) for name in names]
        return select({"kind": "storage#buckets", "items": items}, ask.query.get("fields"))

    def create_bucket(self, ask: Ask) -> dict[str, Any]:
        wish = _parsed(ask.body())
        settings = _checked(wish)
        versioning = bool(wish.get("versioning", {}).get("enabled"))
        bucket = self._objects.create_bucket(str(wish.get("name", "")), versioning=versioning, settings=settings)
        return _shown(bucket)

    def patch_bucket(self, ask: Ask) -> dict[str, Any]:
        wish = _checked(_parsed(ask.body()))
        if "location" in wish:
            raise ApiError(400, "invalid", "Cannot change the location of a bucket.")
        with self._lock:
            bucket = self._objects.bucket(ask.bucket)
            bucket.settings = _merged(bucket.settings, wish)
            if "versioning" in wish:
                bucket.versioning = bool(wish["versioning"].get("enabled"))
            self._objects.keep_bucket(bucket)
            return _shown(bucket)

    def delete_bucket(self, ask: Ask) -> dict[str, Any]:
        self._objects.delete_bucket(ask.bucket)
        return {}

    def bucket_policy(self, ask: Ask) -> dict[str, Any]:
        bucket = self._objects.bucket(ask.bucket)
        wanted = int(ask.query.get("optionsRequestedPolicyVersion") or 1)
        if wanted < 3 and any("condition" in binding for binding in bucket.policy.get("bindings", [])):
            raise ApiError(400, "invalid", "Requested policy version is lower than that of the stored policy (3).")
        return {"kind": "storage#policy", **copy.deepcopy(bucket.policy), "etag": _etag(bucket)}

    def set_bucket_policy(self, ask: Ask) -> dict[str, Any]:
        wish = _parsed(ask.body())
        with self._lock:
            bucket = self._objects.bucket(ask.bucket)
            if wish.get("etag") and wish["etag"] != _etag(bucket):
                raise ApiError(412, "conditionNotMet", "The etag of the policy is stale: it was changed meanwhile.")
            check_bindings(wish)
            uniform = bucket.settings.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {})
            if any("condition" in binding for binding in wish.get("bindings", [])) and not uniform.get("enabled"):
                raise ApiError(400, "invalid", "Conditions need uniform bucket-level access.")
            bucket.policy = {"version": wish.get("version", 1), "bindings": wish.get("bindings", [])}
            bucket.policy_edition += 1
            self._objects.keep_bucket(bucket)
        return {"kind": "storage#policy", **copy.deepcopy(bucket.policy), "etag": _etag(bucket)}


def check_bindings(policy: dict[str, Any]) -> None:
    """Raises ApiError 400 for a policy that Google would not take."""
    for binding in policy.get("bindings", []):
        if not str(binding.get("role", "")).startswith(("roles/", "projects/")):
            raise ApiError(400, "invalid", f"Role {binding.get('role')!r} does not exist.")
        for member in binding.get("members", []):
            kind, _, name = str(member).partition(":")
            if kind not in {"user", "group", "serviceAccount", "domain", "deleted"} or "@" not in name:
                raise ApiError(400, "invalid", f"Member {member!r} is of unknown type.")
        condition = binding.get("condition")
        if condition is None:
            continue
        if policy.get("version") != 3:
            raise ApiError(400, "invalid", "Conditional bindings need policy version 3.")
        if not condition.get("title") or not condition.get("expression"):
            raise ApiError(400, "invalid", "A condition needs a title and an expression.")


def _checked(wish: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(wish.keys() - _SETTINGS)
    if unknown:
        raise ApiError(400, "invalid", f"Unknown name {unknown[0]!r} in a bucket.")
    seconds = wish.get("softDeletePolicy", {}).get("retentionDurationSeconds")
    if seconds is not None and int(seconds) and not WEEK_SECONDS <= int(seconds) <= _MOST_RETENTION:
        raise ApiError(400, "invalid", "Soft delete must be 0 or from 7 to 90 days.")
    prevention = wish.get("iamConfiguration", {}).get("publicAccessPrevention")
    if prevention not in {None, "inherited", "enforced"}:
        raise ApiError(400, "invalid", f"Invalid value for publicAccessPrevention: {prevention}")
    for rule in (wish.get("lifecycle") or {}).get("rule", []):
        if rule.get("action", {}).get("type") not in _ACTIONS or not rule.get("condition"):
            raise ApiError(400, "invalid", f"Invalid lifecycle rule: {json.dumps(rule)}")
    return {key: value for key, value in wish.items() if key != "name"}


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(old)
    for key, value in new.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def _shown(bucket: Bucket) -> dict[str, Any]:
    settings = {"location": "US", "storageClass": "STANDARD", **bucket.settings}
    settings["location"] = str(settings["location"]).upper()
    settings.setdefault("softDeletePolicy", {"retentionDurationSeconds": str(WEEK_SECONDS)})
    name = {"kind": "storage#bucket", "name": bucket.name, "id": bucket.name}
    return {**settings, **name, "versioning": {"enabled": bucket.versioning}}


def _etag(bucket: Bucket) -> str:
    return base64.b64encode(f"policy {bucket.policy_edition}".encode()).decode()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        raise ApiError(400, "parseError", "Parse Error") from None
    if not isinstance(value, dict):
        raise ApiError(400, "parseError", "Parse Error")
    return value
