"""Operations on time: they pull their input at other frames (which, `timing` says)."""

from __future__ import annotations

import numpy as np

from jit_render.render.standin import timing
from jit_render.render.standin.call import Call, blended
from jit_render.render.standin.image import Box, Image, Plane


def frame_hold(call: Call) -> Image:
    return call.source(frame=timing.frame_hold(call))


def time_offset(call: Call) -> Image:
    return call.source(frame=timing.time_offset(call))


def retime(call: Call) -> Image:
    frame = timing.retime(call)
    if frame is None:
        return Image.black(call.engine.format)
    return call.source(frame=frame)


def frame_blend(call: Call) -> Image:
    """FrameBlend, TimeBlur: the mean of several frames; channels not chosen stay those of the frame itself."""
    parts = [(pull.share, call.source(frame=pull.frame)) for pull in timing.pulls(call)]
    mean = _mean(parts)
    if not call.node.knobs.get("channels"):
        return mean
    current = call.source().fitted(mean.box)
    names = call.channels(mean, "all")
    return blended(call, current, mean.only(names).planes)


def append_clip(call: Call) -> Image:
    parts = [(pull.share, call.source(pull.pipe, frame=pull.frame)) for pull in timing.append_clip(call)]
    if not parts:
        return Image.black(call.engine.format)
    return parts[0][1] if len(parts) == 1 else _mean(parts)


def _mean(parts: list[tuple[float, Image]]) -> Image:
    box = Box(0, 0, 0, 0)
    for _, part in parts:
        box = box.union(part.box)
    total: dict[str, Plane] = {}
    for share, part in parts:
        for name, plane in part.fitted(box).planes.items():
            if name in total:
                total[name] += plane * np.float32(share)
            else:
                total[name] = np.array(plane * np.float32(share))
    return Image(total, box, parts[0][1].format)
