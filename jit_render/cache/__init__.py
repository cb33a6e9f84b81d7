"""The node's disk: what is here, who holds it, what has to go, and how it comes."""

from jit_render.cache.cache import NodeCache
from jit_render.cache.values import Acquired, CacheLimits, CacheStats, ClearReport, Priority, VerifyReport
from jit_render.cache.view import ViewTree

__all__ = [
    "Acquired",
    "CacheLimits",
    "CacheStats",
    "ClearReport",
    "NodeCache",
    "Priority",
    "VerifyReport",
    "ViewTree",
]
