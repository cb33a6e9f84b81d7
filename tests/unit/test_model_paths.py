from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jit_render.model.errors import HostilePath, UnmappedPath
from jit_render.model.identity import ObjectId, ObjectUrl
from jit_render.model.pathmap import PathMap, PathRule
from jit_render.model.script_place import script_place

SHOW = PathMap(
    rules=(
        PathRule(prefix=("/mnt/show", "P:\\show", "\\\\filer\\show"), target="gs://assets/show"),
        PathRule(prefix="/mnt/show/renders", target="gs://out/renders", mode="write"),
    )
)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("/mnt/show/plates/a.%04d.exr", "gs://assets/show/plates/a.%04d.exr"),
        ("p:\\SHOW\\Plates\\a.exr", "gs://assets/show/Plates/a.exr"),
        ("//FILER/show/a.exr", "gs://assets/show/a.exr"),
        ("/mnt/show//plates/./a.exr", "gs://assets/show/plates/a.exr"),
        ("/mnt//show/./plates/a.exr", "gs://assets/show/plates/a.exr"),
        ("/mnt/show/comp/../plates/a.exr", "gs://assets/show/plates/a.exr"),
        ("/mnt/show/comp/v1/../../renders/a.exr", "gs://out/renders/a.exr"),
        ("/mnt/other/../show/a.exr", "gs://assets/show/a.exr"),
        ("P:\\Show\\Comp\\..\\Plates\\a.exr", "gs://assets/show/Plates/a.exr"),
        ("/mnt/show/comp/..", "gs://assets/show"),
        ("/mnt/show/renders/x.exr", "gs://out/renders/x.exr"),
        ("/mnt/show", "gs://assets/show"),
        ("/mnt/show/Grün 日本.exr", "gs://assets/show/Grün 日本.exr"),
    ],
)
def test_every_spelling_of_a_prefix_maps_to_its_bucket(name: str, url: str) -> None:
    assert str(SHOW.resolve(name).url) == url


@pytest.mark.parametrize("name", ["/mnt/shows/a.exr", "/MNT/show/a.exr", "mnt/show/a.exr", "", "C:/mnt/show/a"])
def test_a_name_under_no_prefix_is_unmapped(name: str) -> None:
    assert SHOW.find(name) is None
    with pytest.raises(UnmappedPath, match="/mnt/show"):
        SHOW.resolve(name)


@pytest.mark.parametrize(
    "name",
    [
        "/mnt/show/../etc/passwd",
        "/mnt/show/renders/../plates/a.exr",
        "/../mnt/show/a.exr",
        "/mnt/show/../show2/a.exr",
        "P:\\show\\..\\..\\secret",
        "/mnt/show/a\0b.exr",
        "/mnt/show/a\nb.exr",
        "/mnt/show/" + "x" * 1000,
        "/mnt/show/" + "/".join(["y" * 100] * 12),
        "/mnt/show/\ud800.exr",
    ],
)
def test_a_hostile_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(HostilePath) as caught:
        SHOW.find(name)
    assert "\n" not in str(caught.value)


def test_the_longest_prefix_wins_whatever_the_order_of_rules() -> None:
    assert SHOW.resolve("/mnt/show/renders/a.exr").mode == "write"
    assert PathMap(rules=SHOW.rules[::-1]).resolve("/mnt/show/renders/a.exr").mode == "write"


def test_a_relative_prefix_is_refused() -> None:
    with pytest.raises(ValidationError, match="not absolute"):
        PathRule(prefix="mnt/show", target="gs://assets")


def test_a_prefix_is_folded_and_one_that_climbs_above_its_root_is_refused() -> None:
    rules = (PathRule(prefix="/mnt//x/../show/", target="gs://assets"),)
    assert str(PathMap(rules=rules).resolve("/mnt/show/a.exr").url) == "gs://assets/a.exr"
    with pytest.raises(ValidationError, match="climbs above its root"):
        PathRule(prefix="/../show", target="gs://assets")


# /mnt/show is in one bucket, its renders are in another one and not under the same folder names.
STUDIO = PathMap(
    rules=(
        PathRule(prefix=("/mnt/show", "P:\\show"), target="gs://assets/shows/nova"),
        PathRule(prefix="/mnt/show/renders", target="gs://out/nova/frames", mode="write"),
        PathRule(prefix="/mnt/tools", target="gs://tools"),
    )
)


@pytest.mark.parametrize(
    ("source", "script", "name", "url"),
    [
        ("/mnt/show/comp/a.nk", "assets/shows/nova/comp/a.nk", "../plates/b.exr", "gs://assets/shows/nova/plates/b.exr"),
        ("/mnt/show/comp/a.nk", "assets/shows/nova/comp/a.nk", "../renders/b.exr", "gs://out/nova/frames/b.exr"),
        ("P:\\SHOW\\comp\\a.nk", "assets/shows/nova/comp/a.nk", "lut.cube", "gs://assets/shows/nova/comp/lut.cube"),
        ("/home/me/a.nk", ".script/a.nk", "../../mnt/show/renders/b.exr", "gs://out/nova/frames/b.exr"),
        ("/home/me/a.nk", ".script/a.nk", "lut.cube", None),
        ("/mnt/show/comp/a.nk", "assets/shows/nova/comp/a.nk", "../../tools/b.exr", HostilePath),
        ("/mnt/show/comp/a.nk", "assets/shows/nova/comp/a.nk", "../../../../../b.exr", HostilePath),
    ],
)
def test_a_name_beside_the_script_stands_for_what_it_was_on_the_artists_machine(
    source: str, script: str, name: str, url: object
) -> None:
    place = script_place(STUDIO, source, "a.nk")
    assert place.script == script
    said = place.original("/cache/view/j", f"/cache/view/j/{script.rpartition('/')[0]}/{name}")
    assert said is not None
    if url is HostilePath:
        with pytest.raises(HostilePath):
            STUDIO.find(said)
    else:
        found = STUDIO.find(said)
        assert (found and str(found.url)) == url


def test_a_name_elsewhere_in_the_view_is_not_the_scripts() -> None:
    place = script_place(STUDIO, "/mnt/show/comp/a.nk", "a.nk")
    for name in ("/cache/view/j/out/nova/frames/b.exr", "/cache/view/j/assets/shows/nova2/b.exr", "/mnt/show/b.exr"):
        assert place.original("/cache/view/j", name) is None


@pytest.mark.parametrize("text", ["gs://", "gs:///key", "no url", "file://host/a", "gs://b/a/../c"])
def test_what_is_no_storage_url_is_refused(text: str) -> None:
    with pytest.raises(HostilePath):
        ObjectUrl.parse(text)


_part = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=12).filter(
    lambda part: part not in {".", ".."}
)


@given(
    st.sampled_from(["gs://bucket", "s3://bucket", "file://", "memory://m"]), st.lists(_part, min_size=1, max_size=5)
)
def test_the_view_path_names_one_place_only(root: str, parts: list[str]) -> None:
    url = ObjectUrl(root, "/".join(parts))
    assert ObjectUrl.from_view_path(url.view_path) == url


def test_another_generation_is_another_identity() -> None:
    url = ObjectUrl.parse("gs://b/a")
    assert ObjectId(url, "1").digest != ObjectId(url, "2").digest
