""".nk text, the graph in it, and what each frame reads. Pure."""
