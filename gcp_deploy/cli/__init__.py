"""The commands of jit-deploy: parse, call, print. No logic."""
