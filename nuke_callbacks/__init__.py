"""What runs inside Nuke: standard library only, Python 3.9; imports nothing of the runtime."""
