"""The node's disk: index, leases, eviction, single-flight fetch."""
