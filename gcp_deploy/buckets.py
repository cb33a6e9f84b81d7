"""Buckets: what is read, what is written, and the jobs' records; none of them can become public.

All have uniform access (IAM alone decides) and public access prevention. Deleted objects of the state bucket are not
kept: records of jobs and the nodes' scratch change often, and soft delete would bill each old version for at least
seven days (0 or 7 to 90 days is what the service takes; decision 0046). Unfinished uploads go after a week, scratch
after thirty days. A bucket that was there before us does not carry our label: it stays as it is, and what is
unusual about it is only told. ``down`` leaves buckets alone unless it is told otherwise, and then ends only ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gcp_deploy.access import Cloud, found, translated
from gcp_deploy.parts import Look, Verdict, differences
from jit_render.model.errors import CloudConflict, CloudError

SCRATCH = "scratch/"
_WEEK_SECONDS = 7 * 24 * 3600
_UPLOAD_DAYS = 7
_SCRATCH_DAYS = 30


class BucketPart:
    """One bucket. `keeps_deleted`: for how many seconds an object that was deleted is kept."""

    kind = "bucket"

    def __init__(self, cloud: Cloud, name: str, *, keeps_deleted: int, scratch: bool = False) -> None:
        self.name = f"gs://{name}"
        self._cloud = cloud
        self._bucket = name
        self._soft_delete = keeps_deleted
        self._scratch = scratch

    def look(self) -> Look:
        bucket = found(self.name, lambda: self._cloud.buckets.get_bucket(self._bucket))
        if bucket is None:
            return Look(Verdict.MISSING)
        if not self._is_ours(bucket):
            told = differences(self._wanted(), _shown(bucket))
            return Look(Verdict.FINE, tuple(f"yours, left as it is: {each}" for each in told))
        said = list(differences(self._wanted(), _shown(bucket)))
        there = [dict(rule) for rule in bucket.lifecycle_rules]
        said += [f"no lifecycle rule {_rule_name(rule)}" for rule in self._rules() if rule not in there]
        return Look(Verdict.DRIFTED if said else Verdict.FINE, tuple(said))

    def make(self) -> None:
        bucket = found(self.name, lambda: self._cloud.buckets.get_bucket(self._bucket))
        with translated(self.name):
            if bucket is None:
                try:
                    self._create()
                    return
                except CloudConflict as error:
                    raise CloudError(f"{error} Bucket names are the whole world's; take another one.") from None
            if not self._is_ours(bucket):
                return
            self._set(bucket)
            bucket.patch(timeout=60)

    def _create(self) -> None:
        bucket = self._cloud.buckets.bucket(self._bucket)
        self._set(bucket)
        with translated(self.name):
            self._cloud.buckets.create_bucket(bucket, location=self._cloud.gcp.region, timeout=60, retry=None)

    def _set(self, bucket: Any) -> None:
        """Our settings on top of the bucket's own: somebody's labels and lifecycle rules stay."""
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        bucket.iam_configuration.public_access_prevention = "enforced"
        bucket.soft_delete_policy.retention_duration_seconds = self._soft_delete
        bucket.labels = {**bucket.labels, **self._cloud.labels}
        there = [dict(rule) for rule in bucket.lifecycle_rules]
        bucket.lifecycle_rules = there + [rule for rule in self._rules() if rule not in there]

    def remove(self) -> bool:
        """The bucket and all that is in it, where we made it."""
        bucket = found(self.name, lambda: self._cloud.buckets.get_bucket(self._bucket))
        if bucket is None or not self._is_ours(bucket):
            return False
        with translated(self.name):
            for blob in self._cloud.buckets.list_blobs(self._bucket, versions=True):
                blob.delete()
            bucket.delete()
        return True

    def _is_ours(self, bucket: Any) -> bool:
        return all(bucket.labels.get(key) == value for key, value in self._cloud.labels.items())

    def _wanted(self) -> dict[str, Any]:
        return {
            "uniform access": True,
            "public access prevention": "enforced",
            "soft delete seconds": self._soft_delete,
        }

    def _rules(self) -> list[dict[str, Any]]:
        rules = [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": _UPLOAD_DAYS}}]
        if self._scratch:
            condition: dict[str, Any] = {"age": _SCRATCH_DAYS, "matchesPrefix": [SCRATCH]}
            rules.append({"action": {"type": "Delete"}, "condition": condition})
        return rules


def bucket_parts(cloud: Cloud) -> Iterator[BucketPart]:
    """The buckets that the settings name, each once."""
    gcp = cloud.gcp
    for name in dict.fromkeys(name for name in (gcp.assets, gcp.outputs, gcp.state) if name):
        is_state = name == gcp.state and name not in {gcp.assets, gcp.outputs}
        yield BucketPart(cloud, name, keeps_deleted=0 if is_state else _WEEK_SECONDS, scratch=name == gcp.state)


def _shown(bucket: Any) -> dict[str, Any]:
    return {
        "uniform access": bool(bucket.iam_configuration.uniform_bucket_level_access_enabled),
        "public access prevention": bucket.iam_configuration.public_access_prevention,
        "soft delete seconds": int(bucket.soft_delete_policy.retention_duration_seconds or 0),
    }


def _rule_name(rule: dict[str, Any]) -> str:
    prefix = "".join(rule["condition"].get("matchesPrefix", ()))
    return f"{rule['action']['type']} {prefix} after {rule['condition']['age']} days".replace("  ", " ")
