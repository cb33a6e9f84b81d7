"""What fsspec's backends raise, as ours. They agree on OSError's family and on little else."""

from __future__ import annotations

import errno

from jit_render.model.errors import (
    BucketNotFound,
    JitRenderError,
    ObjectNotFound,
    PermissionDenied,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectUrl

_HOPELESS = {errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


def mapped(error: Exception, verb: str, url: ObjectUrl) -> JitRenderError:
    """`error`, met while trying to `verb` `url`, as one of ours."""
    if isinstance(error, FileNotFoundError):
        if "bucket does not exist" in str(error).lower():
            return BucketNotFound(f"{url.root} does not exist; create it or correct the URL.")
        return ObjectNotFound(f"{url} does not exist.")
    if isinstance(error, PermissionError):
        return PermissionDenied(f"no permission to {verb} {url}: {error}; check the credentials for {url.root}.")
    if isinstance(error, IsADirectoryError | NotADirectoryError) or getattr(error, "errno", None) in _HOPELESS:
        return StoreError(f"cannot {verb} {url}: {error}.")
    if isinstance(error, OSError):
        return TransientStoreError(f"cannot {verb} {url}: {error}; look at the network and try again.")
    if "credential" in f"{type(error).__name__} {error}".lower():
        return PermissionDenied(f"no credentials to {verb} {url}: {error}; log in to {url.root} first.")
    return StoreError(f"cannot {verb} {url}: {type(error).__name__}: {error}.")
