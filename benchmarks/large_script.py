"""A script as large as a feature film's: thousands of nodes, dozens of Reads, time nodes, switches, groups."""

from __future__ import annotations

import random

_STILL = ("Blur {\n size 3", "Grade {\n white 1.2", "Transform {\n rotate 3", "Dot {", "Crop {\n box {0 0 8 8}")
_TIME = (
    "TimeOffset {\n time_offset 3",
    "FrameHold {\n first_frame 1003",
    "Retime {\n input.first 1001\n input.last 2000\n speed 1.5",
    "FrameBlend {\n numframes 3",
    "TimeWarp {\n lookup {{frame/2+500}}",
)


_ROOT = (
    'Root {\n inputs 0\n first_frame 1001\n last_frame 2000\n views "left #f00\nright #0f0"\n'
    " project_directory /show/sh010\n}"
)
_INSIDE = "Input {\n inputs 0\n name In\n}\nBlur {\n name B\n}\nOutput {\n name Out\n}\nend_group"


def large_script(nodes: int = 5_000, reads: int = 50, *, seed: int = 1) -> str:
    """The text of a script with about so many nodes: for each Read a chain, all of them merged."""
    chance = random.Random(seed)
    lines = [_ROOT]
    for number in range(1, reads + 1):
        lines.append(
            f"Read {{\n inputs 0\n file /show/plates/p{number}/p{number}.%V.####.exr\n"
            f" first 1001\n last 2000\n name Read{number}\n}}"
        )
        length = nodes // reads - 3
        turn = chance.randrange(length)
        lines += [_node(chance, f"N{number}_{index}", may_turn=index == turn) for index in range(length)]
        if number > 1:
            lines.append(f"Merge2 {{\n inputs 2\n name Merge{number}\n}}")
    lines.append("Write {\n file /show/renders/out.%V.####.exr\n name Write1\n}")
    return "\n".join(lines) + "\n"


def _node(chance: random.Random, name: str, *, may_turn: bool) -> str:
    if may_turn and chance.random() < 0.5:
        return f"{chance.choice(_TIME)}\n name {name}\n}}"
    if chance.random() < 0.02:
        return (
            f"set N{name} [stack 0]\nGrade {{\n name {name}g\n}}\npush $N{name}\n"
            f"Switch {{\n inputs 2\n which {{{{frame<1500}}}}\n name {name}\n}}"
        )
    if chance.random() < 0.02:
        return f"Group {{\n name {name}\n}}\n{_INSIDE}"
    return f"{chance.choice(_STILL)}\n name {name}\n}}"
