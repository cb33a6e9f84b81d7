"""ocio: from one colour space of an OpenColorIO configuration to another."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from preprocess.image import Image
from preprocess.operations.bands import row_bands
from preprocess.operations.colours import rgb_places
from preprocess.operations.port import Context, FileAsset, Operation

BUILT_IN_CONFIG = "ocio://default"
_CALL_BYTES = 16 * 1024**2  # a call looks the configuration up (some 40 ms): much more work than that at a time


class Ocio(Operation):
    """(height, width, channels with R, G, B) to the same shape; other channels are passed on untouched.

    By OpenImageIO's colorconvert, on the processor, without un-premultiplying. Without ``config`` it is the
    configuration built into OpenColorIO (``ocio://default``), never $OCIO: a pipeline means the same on every node.
    NaN and Inf do as OpenColorIO's transforms do; they stay in their pixel. A config must be one file that needs no
    other (or an .ocioz archive).
    """

    kind: ClassVar[str] = "ocio"
    tileable: ClassVar[bool] = True
    copies: ClassVar[float] = 1.2

    source: str = Field(min_length=1, description="colour space of what comes in, a name or role of the configuration")
    target: str = Field(default="scene_linear", min_length=1, description="colour space or role of what goes out")
    config: FileAsset = ""

    def apply(self, image: Image, context: Context) -> Image:
        import OpenImageIO as oiio  # noqa: N813

        config = str(context.path("config")) if self.config else BUILT_IN_CONFIG
        places = rgb_places(self, image, context)
        result = image.pixels.copy()
        for top, bottom in row_bands(image.shape[0], 12 * image.shape[1], most=_CALL_BYTES):
            part = oiio.ImageBuf(np.ascontiguousarray(image.pixels[top:bottom][:, :, places]))
            good = oiio.ImageBufAlgo.colorconvert(
                part, part, self.source, self.target, False, "", "", config, oiio.ROI.All, 1
            )
            if not good:
                reason = " ".join(str(part.geterror()).split())
                raise self.fail(context, f"{reason or 'no conversion'}; check source, target and config ({config})")
            result[top:bottom, :, places] = part.get_pixels(oiio.FLOAT)
        return image.with_pixels(result)
