"""Other moments, views and inputs: `script.timing` says which pictures a node asks for, here they are shown."""

from __future__ import annotations

import numpy as np

from jit_render.render.standin.call import Call, blended
from jit_render.render.standin.image import Image, Plane, common_box


def routed(call: Call) -> Image:
    """FrameHold, TimeOffset, Retime, Switch, JoinViews, OneView: one picture of one input; black for none."""
    wanted = call.pulls()
    return call.pulled(wanted[0]) if wanted else Image.black(call.engine.format)


def append_clip(call: Call) -> Image:
    """AppendClip: one clip after the other, or two dissolved."""
    return _mean(call)


def frame_blend(call: Call) -> Image:
    """FrameBlend, TimeBlur: the mean of several frames; channels not chosen stay those of the frame itself."""
    mean = _mean(call)
    if not call.node.knobs.get("channels"):
        return mean
    current = call.source().fitted(mean.box)
    names = call.channels(mean, "all")
    return blended(call, current, mean.only(names).planes)


def _mean(call: Call) -> Image:
    parts = [(pull.share, call.pulled(pull)) for pull in call.pulls() if pull.share]
    if len(parts) < 2:
        return parts[0][1] if parts else Image.black(call.engine.format)
    box = common_box([part for _, part in parts])
    total: dict[str, Plane] = {}
    for share, part in parts:
        for name, plane in part.fitted(box).planes.items():
            weighted = plane * np.float32(share)
            total[name] = total[name] + weighted if name in total else weighted
    return Image(total, box, parts[0][1].format)
