"""The daemon of one node."""
