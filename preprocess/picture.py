"""One frame of one camera: every output that is wanted of it, from the chain into memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from preprocess.chain import Chain
from preprocess.encode import Encoder, Storage
from preprocess.image import Image, Window
from preprocess.memory_file import MemoryFile
from preprocess.passes import Leaf

Submit = Callable[[Leaf, Callable[[], MemoryFile]], None]
"""Takes a leaf and what makes its file; may call it later, on another thread."""


@dataclass(frozen=True, slots=True)
class Told:
    """What stands in a .json output beside what the operations found out."""

    frame: int
    camera: str
    source: str
    source_generation: str


def make_outputs(chain: Chain, frame: int, leaves: Iterable[Leaf], submit: Submit) -> None:
    """Hand every image output of `leaves` to `submit`. Raises SourceInvalid, OperationFailed, OutputInvalid."""
    images = [leaf for leaf in leaves if leaf.output.is_image]
    whole = [leaf for leaf in images if not chain.band_rows]
    for leaf in whole:
        image = chain.whole(leaf.step, frame)
        submit(leaf, _encoding(leaf, image))
    for leaf, file in _encode_bands(chain, frame, [leaf for leaf in images if chain.band_rows]):
        submit(leaf, lambda file=file: file)  # type: ignore[misc]


def storage_of(leaf: Leaf) -> Storage:
    output = leaf.output
    return Storage(output.suffix, output.stored_type, output.compression, tile=output.tile, mipmap=output.mipmap)


def _encoding(leaf: Leaf, image: Image) -> Callable[[], MemoryFile]:
    def encode() -> MemoryFile:
        encoder = Encoder(leaf.output.name, storage_of(leaf), image.data_window, image)
        encoder.write(image)
        return encoder.finish()

    return encode


def _encode_bands(chain: Chain, frame: int, leaves: list[Leaf]) -> list[tuple[Leaf, MemoryFile]]:
    """All of `leaves` side by side, band by band."""
    encoders: dict[str, Encoder] = {}
    try:
        for leaf, window, top, bottom in _side_by_side(chain, frame, leaves):
            band = chain.rows(leaf.step, frame, top, bottom)
            name = leaf.output.name
            if name not in encoders:
                encoders[name] = Encoder(name, storage_of(leaf), window, band)
            encoders[name].write(band)
        return [(leaf, encoders[leaf.output.name].finish()) for leaf in leaves]
    except BaseException:
        for encoder in encoders.values():
            encoder.abandon()
        raise


def _side_by_side(chain: Chain, frame: int, leaves: list[Leaf]) -> Iterator[tuple[Leaf, Window, int, int]]:
    """The bands of all outputs, those first that lag behind: so that they meet at the rows they are both made of.

    Of those at the same height the smaller picture comes first, and what has the widest margin: these ask for more of
    the rows that they share, and the others find theirs among them.
    """
    steps = []
    for leaf in leaves:
        window = chain.window_of(leaf.step, frame)
        order = (window.height, -chain.tree.margin_of(leaf.step))
        steps += [
            ((top - window.y) / window.height, order, leaf, window, top, bottom) for top, bottom in chain.bands(window)
        ]
    for _, _, leaf, window, top, bottom in sorted(steps, key=lambda step: step[:2]):
        yield leaf, window, top, bottom


def make_data(chain: Chain, frame: int, leaf: Leaf, told: Told, records: dict[str, Any]) -> MemoryFile:
    """The .json output: what the operations on its way have found out, and what of."""
    image = chain.whole(leaf.step, frame) if leaf.step >= 0 else None
    window = chain.window_of(leaf.step, frame)
    metadata = dict(image.metadata) if image is not None else {}
    document = {
        "schema_version": 1,
        "frame": told.frame,
        "camera": told.camera,
        "source": told.source,
        "source_generation": told.source_generation,
        "data_window": list(window),
        "metadata": metadata,
        "records": records,
    }
    file = MemoryFile(leaf.output.name)
    file.append((json.dumps(finite(document), sort_keys=True, indent=1, allow_nan=False) + "\n").encode())
    return file


def finite(value: Any) -> Any:
    """`value` with NaN and infinities as null: JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return value
