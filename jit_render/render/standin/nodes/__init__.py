"""The operations: each takes a `Call` and gives an `Image`. Loaded module by module, as a script needs them."""
