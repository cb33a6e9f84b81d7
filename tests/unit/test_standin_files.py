from __future__ import annotations

import hashlib

import numpy as np
import OpenImageIO
import pytest
from standin_kit import ROOT, engine_for, pull, save, value

from jit_render.model.errors import RenderError
from jit_render.render.standin import layers
from jit_render.render.standin.image import RGBA, Box, Format, Image
from jit_render.render.standin.reader import Reader
from jit_render.render.standin.transfer import SRGB
from jit_render.render.standin.writer import WriteOptions, check_folder, write


def gradient(box: Box, fmt: Format, names=RGBA, seed: int = 1) -> Image:
    rng = np.random.default_rng(seed)
    pixels = rng.random((box.height, box.width, len(names)), np.float32)
    return Image.from_pixels(np.float16(pixels).astype(np.float32), names, box, fmt)


def same(one: Image, two: Image) -> bool:
    return one.box == two.box and set(one.names) == set(two.names) and all(
        np.array_equal(one.planes[name], two.planes[name]) for name in one.names
    )


@pytest.mark.parametrize(
    "compression", ["none", "Zip (1 scanline)", "Zip (16 scanlines)", "RLE", "PIZ Wavelet (32 scanlines)"]
)
def test_an_exr_keeps_channels_window_and_format(tmp_path, compression):
    names = (*RGBA, "depth.Z", "forward.u", "forward.v", "diffuse.red")
    image = gradient(Box(-3, 2, 40, 17), Format(32, 20, 2.0), names)
    options = WriteOptions("exr", compression=compression)
    write(str(tmp_path / "a.exr"), {"main": image}, layers.in_order(names), options)
    back = Reader().read(str(tmp_path / "a.exr"), "main").image
    assert same(image, back)
    assert (back.format.width, back.format.height, back.format.aspect) == (32, 20, 2.0)


def test_the_views_of_one_exr_come_back_each_with_its_own_layers(tmp_path):
    fmt = Format(32, 20)
    names = (*RGBA, "depth.Z", "forward.u")
    left, right = (gradient(Box(0, 0, 32, 20), fmt, names, seed) for seed in (1, 2))
    write(str(tmp_path / "s.exr"), {"left": left, "right": right}, layers.in_order(names), WriteOptions("exr"))
    reader = Reader()
    assert same(reader.read(str(tmp_path / "s.exr"), "left").image, left)
    assert same(reader.read(str(tmp_path / "s.exr"), "right").image, right)
    assert same(reader.read(str(tmp_path / "s.exr"), "main").image, left)  # a view it has not: the default one


@pytest.mark.parametrize("file_type", ["exr", "png", "jpeg", "tiff", "dpx"])
def test_a_file_has_the_same_bytes_wherever_and_whenever_it_is_written(tmp_path, file_type, monkeypatch):
    image = gradient(Box(0, 0, 32, 20), Format(32, 20))
    digests = set()
    for folder, zone in (("one", "UTC"), ("another/place", "Asia/Tokyo")):
        monkeypatch.setenv("TZ", zone)
        path = tmp_path / folder / "x"
        check_folder(str(path), create=True)
        write(str(path), {"main": image}, RGBA, WriteOptions(file_type))
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        data = path.read_bytes()
        assert str(tmp_path).encode() not in data
    assert len(digests) == 1


def test_threads_do_not_change_the_bytes(tmp_path):
    image = gradient(Box(0, 0, 320, 200), Format(320, 200))
    digests = set()
    for threads in (1, 4):
        OpenImageIO.attribute("threads", threads)
        OpenImageIO.attribute("exr_threads", threads)
        write(str(tmp_path / "x.exr"), {"main": image}, RGBA, WriteOptions("exr"))
        digests.add(hashlib.sha256((tmp_path / "x.exr").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_eight_bit_files_hold_srgb_and_read_back_as_light(tmp_path):
    image = Image.constant(dict.fromkeys(RGBA, 0.18) | {"rgba.alpha": 1.0}, Format(8, 8))
    write(str(tmp_path / "a.png"), {"main": image}, RGBA, WriteOptions("png", transfer=SRGB))
    stored = OpenImageIO.ImageBuf(str(tmp_path / "a.png")).getpixel(0, 0)
    assert stored[0] == pytest.approx(0.461, abs=0.003)
    assert value(Reader().read(str(tmp_path / "a.png"), "main").image, "rgba.red") == pytest.approx(0.18, abs=0.002)


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path):
    (tmp_path / "a.exr").mkdir()
    image = Image.constant(dict.fromkeys(RGBA, 0.5), Format(8, 8))
    with pytest.raises(RenderError, match=r"a\.exr cannot be written"):
        write(str(tmp_path / "a.exr"), {"main": image}, RGBA, WriteOptions("exr"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.exr"]


def test_a_missing_folder_is_an_error_unless_it_may_be_made(tmp_path):
    with pytest.raises(RenderError, match="create_directories"):
        check_folder(str(tmp_path / "no" / "a.exr"), create=False)
    check_folder(str(tmp_path / "no" / "a.exr"), create=True)
    assert (tmp_path / "no").is_dir()


@pytest.mark.parametrize("damage", [b"", b"no image at all", b"\x76\x2f\x31\x01\x02\x00\x00\x00" + b"x" * 40])
def test_a_file_that_is_no_image_is_an_error_that_names_it(tmp_path, damage):
    path = tmp_path / "broken.exr"
    path.write_bytes(damage)
    with pytest.raises(RenderError, match=r"broken\.exr cannot be read"):
        Reader().read(str(path), "main")


def test_half_a_file_is_an_error(tmp_path):
    write(str(tmp_path / "a.exr"), {"main": gradient(Box(0, 0, 64, 64), Format(64, 64))}, RGBA, WriteOptions("exr"))
    data = (tmp_path / "a.exr").read_bytes()
    (tmp_path / "a.exr").write_bytes(data[: len(data) // 2])
    with pytest.raises(RenderError, match=r"a\.exr cannot be read"):
        Reader().read(str(tmp_path / "a.exr"), "main")


def test_a_replaced_file_is_read_anew_and_the_memory_has_a_limit(tmp_path):
    reader = Reader(limit_bytes=3 * 8 * 8 * 4 * 4)
    for index in range(8):
        save(tmp_path / f"{index}.exr", np.full((8, 8, 4), index), RGBA)
        assert value(reader.read(str(tmp_path / f"{index}.exr"), "main").image, "rgba.red") == index
    save(tmp_path / "new.exr", np.full((8, 8, 4), 99), RGBA)
    (tmp_path / "new.exr").replace(tmp_path / "7.exr")
    assert value(reader.read(str(tmp_path / "7.exr"), "main").image, "rgba.red") == 99
    assert reader._kept_bytes <= 3 * 8 * 8 * 4 * 4


def plates(tmp_path, frames=range(1001, 1011)):
    for frame in frames:
        save(tmp_path / f"plate.{frame}.exr", np.full((8, 16, 4), frame), RGBA)


@pytest.mark.parametrize(
    ("knobs", "frame", "shown"),
    [
        ("first 1001\n last 1010", 1004, 1004),
        ("first 1001\n last 1010", 990, 1001),
        ("first 1001\n last 1010\n after loop", 1011, 1001),
        ("first 1001\n last 1010\n after bounce", 1012, 1008),
        ("first 1001\n last 1010\n before black", 990, 0),
        ("first 1001\n last 1010\n frame_mode offset\n frame 1000", 5, 1005),
        ('first 1001\n last 1010\n frame_mode "start at"\n frame 1', 5, 1005),
        ("first 1001\n last 1010\n frame frame+1000", 5, 1005),
        ("first 1001\n last 1010\n frame 1003", 5, 1003),
        ("first 1001\n last 1020\n on_error black", 1015, 0),
        ('first 1001\n last 1020\n on_error "nearest frame"', 1015, 1010),
        ("first 901\n last 1020\n on_error 3", 950, 1001),
    ],
)
def test_a_read_maps_frames_as_its_knobs_say(tmp_path, knobs, frame, shown):
    plates(tmp_path)
    text = f"Read {{\n inputs 0\n file {tmp_path}/plate.####.exr\n {knobs}\n name R\n}}\n"
    assert value(pull(text, "R", frame=frame), "rgba.red") == shown


def test_a_missing_file_is_told_by_node_and_name(tmp_path):
    plates(tmp_path)
    text = f"Read {{\n inputs 0\n file {tmp_path}/plate.%04d.exr\n name R\n}}\n"
    with pytest.raises(RenderError, match=r"frame 7: Read R \(line \d+\): .*plate\.0007\.exr is missing"):
        pull(text, "R", frame=7)


def test_names_are_relative_to_the_project_directory_and_keep_no_type(tmp_path):
    plates(tmp_path)
    root = ROOT.replace("Root {", f"Root {{\n project_directory {tmp_path}")
    text = root + "Read {\n inputs 0\n file exr:plate.%04d.exr\n name R\n}\n"
    assert value(pull(text, "R", frame=1002), "rgba.red") == 1002


def test_layers_that_no_knob_names_are_not_decoded(tmp_path):
    save(tmp_path / "a.exr", np.ones((8, 16, 6)), (*RGBA, "depth.Z", "spec.red"))
    read = f"Read {{\n inputs 0\n file {tmp_path}/a.exr\n name R\n}}\n"
    assert pull(read + "Write {\n channels rgba\n name W\n}\n", "W").names == RGBA
    assert "depth.Z" in pull(read + "Copy {\n from0 depth.Z\n to0 rgba.alpha\n name W\n}\n", "W").names
    assert len(pull(read + "Write {\n channels all\n name W\n}\n", "W").names) == 6


@pytest.mark.shared
def test_the_views_of_a_real_stereo_sequence(shared_data):
    reader = Reader()
    path = str(shared_data / "beachball" / "singlepart.0001.exr")
    left, right = reader.read(path, "left").image, reader.read(path, "right").image
    assert left.box == right.box == Box(654, 435, 1565, 1311)
    assert (left.format.width, left.format.height) == (2048, 1556)
    assert "depth.Z" in left.names
    assert "forward.u" in right.names
    assert not np.array_equal(left.plane("rgba.red"), right.plane("rgba.red"))
    source = OpenImageIO.ImageBuf(path)
    index = source.spec().channelindex("left.G")
    assert np.array_equal(left.plane("rgba.green"), source.get_pixels(OpenImageIO.FLOAT)[:, :, index])


@pytest.mark.shared
def test_a_real_stereo_file_written_again_keeps_window_and_views(shared_data, tmp_path):
    reader = Reader()
    path = str(shared_data / "beachball" / "singlepart.0008.exr")
    views = {view: reader.read(path, view).image for view in ("right", "left")}
    names = layers.in_order(views["left"].names)
    write(str(tmp_path / "a.exr"), views, names, WriteOptions("exr"))
    for view, image in views.items():
        assert same(reader.read(str(tmp_path / "a.exr"), view).image, image)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "size"), [("GoldenGate", (1262, 860)), ("Carrots", (600, 400)), ("Cannon", (780, 566))]
)
def test_real_stills_of_several_kinds(shared_data, name, size):
    image = Reader().read(str(shared_data / "stills" / f"{name}.exr"), "main").image
    assert (image.box.width, image.box.height) == size
    assert image.plane("rgba.red").max() > 0


@pytest.mark.shared
def test_luminance_and_chroma_is_refused_with_the_way_out(shared_data):
    with pytest.raises(RenderError, match="luminance and subsampled chroma; convert it to RGB first"):
        Reader().read(str(shared_data / "stills" / "Rec709_YC.exr"), "main")


@pytest.mark.shared
def test_real_scripts_are_loaded_or_refused_by_name(shared_data):
    for path in sorted((shared_data / "nk").glob("*.nk")):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if "Root {" in text and "@(" not in text:
            writes = [line for line in text.splitlines() if line.strip() == "Write {"]
            if writes:
                engine = engine_for(text, next(n for n in _writes(text)))
                assert engine.format.width > 0


def _writes(text: str):
    from jit_render.script import parse

    return [node.full_name for node in parse(text).nodes if node.cls == "Write"]
