"""Labels as Google Cloud has them: at most 63 of a-z, 0-9, - and _; a key begins with a letter."""

from __future__ import annotations

import re

LIMIT = 63


def label_value(text: str) -> str:
    """`text` as a label's value; what cannot be written becomes a dash."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:LIMIT].strip("-")


def job_labels(*, name: str, job: str, shot: str, show: str, user: str) -> dict[str, str]:
    """What a bill can be split by, on the job and on every VM and disk of it; empty ones are left out."""
    values = {"jit-render": name, "job": job, "shot": shot, "show": show, "user": user}
    return {key: value for key, text in values.items() if (value := label_value(text))}
