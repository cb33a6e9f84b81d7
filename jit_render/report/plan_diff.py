"""How exact a plan was, in lines for people."""

from __future__ import annotations

from jit_render.farm.plan_diff import NodeDiff, PlanDiff


def diff_lines(diff: PlanDiff) -> list[str]:
    """One line where the plan was exact; otherwise the nodes where it was not."""
    if not diff.frames:
        return [f"{diff.job}: no frame is done yet; there is nothing to compare."]
    planned, read = sum(node.planned for node in diff.nodes), sum(node.read for node in diff.nodes)
    head = f"{diff.job}: frames {diff.frames}: {planned:,} files planned, {read:,} read"
    if diff.is_exact:
        return [f"{head}: the plan was exact."]
    lines = [head]
    for node in diff.nodes:
        if not node.is_exact:
            lines += ["", f"  {node.node or 'read, but in no node of the plan'}", f"    {node.pattern}", *_counts(node)]
    return lines


def _counts(node: NodeDiff) -> list[str]:
    lines = []
    if node.unread:
        why = "" if node.certain else " (the plan was not certain)"
        lines.append(f"    planned, not read: {node.unread:,} of {node.planned:,}{why}; frames {node.unread_frames}")
    if node.unplanned:
        lines.append(f"    read, not planned: {node.unplanned:,} of {node.read:,}; frames {node.unplanned_frames}")
    return lines
