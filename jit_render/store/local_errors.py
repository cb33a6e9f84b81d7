"""The operating system's errors as ours; the only place of ``file://`` that looks at errno."""

from __future__ import annotations

import errno

from jit_render.model.errors import (
    DiskFull,
    HostilePath,
    JitRenderError,
    PermissionDenied,
    StoreError,
    TransientStoreError,
)
from jit_render.model.identity import ObjectUrl

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_OVERLOADED = {errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.EAGAIN}
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR} | _OVERLOADED
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}


def mapped(error: OSError, verb: str, url: ObjectUrl) -> JitRenderError:
    """`error`, met while trying to `verb` (read, list, write, delete) `url`, as one of ours."""
    code = error.errno
    if code in _FULL:
        return DiskFull(f"cannot {verb} {url}: the disk is full ({error.strerror}); make room and try again.")
    if code in _REFUSED:
        return PermissionDenied(f"cannot {verb} {url}: {error.strerror}; check the owner and the mode of the folder.")
    if code == errno.ENAMETOOLONG:
        return HostilePath(f"cannot {verb} {url}: the name is too long for this disk; shorten it.")
    if code == errno.ELOOP:
        return StoreError(f"cannot {verb} {url}: its symlinks go in a circle; remove one of them.")
    if code in _IN_THE_WAY:
        return StoreError(
            f"cannot {verb} {url}: a file stands where a folder is needed, or a folder where a file is; "
            "a disk, unlike a bucket, cannot hold both names. Rename one."
        )
    if code in _PASSING:
        return TransientStoreError(f"cannot {verb} {url}: {error.strerror}; try again, then look at the disk or share.")
    return StoreError(f"cannot {verb} {url}: {error.strerror or error}.")
