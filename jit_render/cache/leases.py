"""Who holds what. A held object is not evicted; a lease dies with its holder.

INVARIANT: a digest is in `_holders` exactly when at least one holder has it in `_held`, with that many holders.
INVARIANT: `leased_bytes` is the sum of the sizes of all distinct leased digests.
"""

from __future__ import annotations

from collections.abc import Iterable


def party_of(holder: str) -> str:
    """Who waits when `holder` waits: ``5/2`` is a frame scope of connection ``5``, which asks one thing at a time."""
    return holder.partition("/")[0]


class Leases:
    """Holders (frame scopes, connections) and the digests they hold."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, int]] = {}
        self._holders: dict[str, set[str]] = {}
        self.leased_bytes = 0

    def __contains__(self, digest: str) -> bool:
        return digest in self._holders

    def __len__(self) -> int:
        return len(self._holders)

    @property
    def holders(self) -> Iterable[str]:
        """Everybody who holds something."""
        return self._held.keys()

    @property
    def digests(self) -> Iterable[str]:
        """Everything that is held."""
        return self._holders.keys()

    def sizes_of(self, party: str) -> dict[str, int]:
        """What all holders of `party` hold together: each digest once, with its size."""
        return {
            digest: size
            for holder, held in self._held.items()
            if party_of(holder) == party
            for digest, size in held.items()
        }

    def add(self, holder: str, digest: str, size_bytes: int) -> None:
        """Lease once more; the same lease twice is one lease. The empty holder holds nothing."""
        if not holder:
            return
        self._held.setdefault(holder, {})[digest] = size_bytes
        holders = self._holders.get(digest)
        if holders is None:
            self._holders[digest] = {holder}
            self.leased_bytes += size_bytes
        else:
            holders.add(holder)

    def release(self, holder: str) -> list[str]:
        """End all leases of `holder`; gives the digests that nobody holds any more."""
        freed = []
        for digest, size_bytes in self._held.pop(holder, {}).items():
            holders = self._holders[digest]
            holders.discard(holder)
            if not holders:
                del self._holders[digest]
                self.leased_bytes -= size_bytes
                freed.append(digest)
        return freed

    def revoke(self, digest: str) -> None:
        """The object is gone or was never right: nobody holds it any more."""
        sizes = [self._held[holder].pop(digest) for holder in self._holders.pop(digest, ())]
        if sizes:
            self.leased_bytes -= sizes[0]
            self._held = {holder: held for holder, held in self._held.items() if held}

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold."""
        counted: dict[str, set[str]] = {}
        sizes: dict[str, int] = {}
        for holder, held in self._held.items():
            for digest, size_bytes in held.items():
                counted.setdefault(digest, set()).add(holder)
                assert sizes.setdefault(digest, size_bytes) == size_bytes
        assert counted == self._holders
        assert sum(sizes.values()) == self.leased_bytes
