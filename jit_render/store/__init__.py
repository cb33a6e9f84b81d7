"""Object storage behind one port.

``open_store(settings)`` gives a store that finds the backend of each URL by its root: ``gs://`` reads on the
fast path of ``gcs.py``, ``file://`` is the local disk (``local.py``), anything else goes through fsspec
(``anyfs.py``). Google's library is imported when a ``gs://`` root is first used, not before.
"""

from __future__ import annotations

from jit_render.store.port import ABSENT, Guarantees, Sink, Store
from jit_render.store.router import open_store

__all__ = ["ABSENT", "Guarantees", "Sink", "Store", "open_store"]
