"""The ``jit-preprocess`` command."""
