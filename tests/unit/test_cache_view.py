"""What a renderer sees of the cache."""

from __future__ import annotations

import os

import pytest

from jit_render.cache import ViewTree, files
from jit_render.cache.layout import Layout
from jit_render.model.errors import CacheError, HostilePath
from jit_render.model.identity import ObjectUrl
from jit_render.testing.cache_house import CacheHouse, run, turns
from jit_render.testing.gated_store import GatedStore

PLATE = ObjectUrl.parse("gs://show/sh010/plate.1001.exr")


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "cache")
    layout.make()
    return layout


@pytest.fixture
def view(layout):
    return ViewTree(layout, dispose=files.remove)


@pytest.fixture
def target(layout):
    path = layout.objects / "object"
    path.write_bytes(b"bytes")
    return path


@pytest.mark.parametrize(
    "url", ["gs://show/sh010/plate.%04d.exr", "file:///mnt/show/a.exr", "s3://b/ü/名.exr", "gs://show/a b/c[1].exr"]
)
def test_a_place_and_its_url_are_inverse(view, url):
    place = view.place("job1", ObjectUrl.parse(url))
    assert view.url_of("job1", str(place)) == ObjectUrl.parse(url)
    assert view.url_of("job1", str(place).replace("/job1/", "//job1///")) == ObjectUrl.parse(url)
    assert view.url_of("job2", str(place)) is None


def test_names_outside_the_tree_are_nobodys(view, layout):
    assert view.url_of("job1", "/mnt/show/a.exr") is None
    assert view.url_of("job1", f"{layout.view}/job1") is None
    assert view.url_of("job1", f"{layout.view}/job1/show") is None
    assert view.url_of("job1", f"{layout.view}/job1/.script/shot.nk") is None
    assert view.url_of("job1", f"{layout.view}/job10/show/a.exr") is None


def test_dots_are_folded_within_a_bucket(view, layout):
    found = view.url_of("job1", f"{layout.view}/job1/show/comp/../plates/./a.exr")
    assert found == ObjectUrl.parse("gs://show/plates/a.exr")
    assert view.url_of("job1", f"{layout.view}/job1/show/comp/..") is None


@pytest.mark.parametrize(
    "tail", ["show/../out/a.exr", "show/../../job2/show/a", "../job2/show/a.exr", "show/a\n.exr", "show/\0", "./show/a"]
)
def test_names_that_leave_the_tree_are_refused(view, layout, tail):
    with pytest.raises(HostilePath):
        view.url_of("job1", f"{layout.view}/job1/{tail}")


@pytest.mark.parametrize("job", ["", "..", ".hidden", "a/b", "a\0"])
def test_a_job_id_that_is_no_plain_name_is_refused(view, job):
    with pytest.raises(HostilePath):
        view.place(job, PLATE)


def test_a_link_is_made_found_and_replaced(view, layout, target):
    place = view.link("job1", PLATE, target)
    assert place.read_bytes() == b"bytes"
    other = layout.objects / "other"
    other.write_bytes(b"other")
    assert view.link("job1", PLATE, other) == place
    assert place.read_bytes() == b"other"
    assert view.link("job1", PLATE, other) == place
    assert [entry.name for entry in place.parent.iterdir()] == [place.name]
    assert list(layout.incoming.iterdir()) == []
    view.check()


def test_a_renderers_file_is_never_replaced(view, target):
    place = view.place("job1", PLATE)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"rendered")
    with pytest.raises(CacheError, match="written by a renderer"):
        view.link("job1", PLATE, target)
    assert place.read_bytes() == b"rendered"


def test_a_link_that_somebody_removed_is_made_again(view, target):
    view.link("job1", PLATE, target).unlink()
    assert view.link("job1", PLATE, target).read_bytes() == b"bytes"
    view.check()


def test_taking_links_away_leaves_what_took_their_place(view, target):
    linked = view.link("job1", PLATE, target)
    replaced = view.link("job2", PLATE, target)
    replaced.unlink()
    replaced.write_bytes(b"rendered")
    view.unlink_to(str(target))
    assert not os.path.lexists(linked)
    assert replaced.read_bytes() == b"rendered"
    view.check()


def test_an_object_and_a_folder_of_one_name_are_refused_by_name(view, target):
    view.link("job1", ObjectUrl.parse("gs://show/a/b"), target)
    with pytest.raises(HostilePath, match=r"gs://show/a/b/c\.exr"):
        view.link("job1", ObjectUrl.parse("gs://show/a/b/c.exr"), target)
    with pytest.raises(HostilePath, match="gs://show/a"):
        view.link("job1", ObjectUrl.parse("gs://show/a"), target)


def test_a_path_longer_than_the_system_takes_is_refused(tmp_path):
    deep = ViewTree(Layout(tmp_path / ("d" * 200) / ("e" * 200)), dispose=lambda aside: None)
    long = ObjectUrl.parse("gs://show/" + "/".join(["k" * 200] * 5))
    assert deep.place("job1", long)
    root = tmp_path.joinpath(*["r" * 200] * 17)
    with pytest.raises(HostilePath, match="path is longer"):
        ViewTree(Layout(root), dispose=lambda aside: None).place("job1", long)


def test_a_dropped_job_is_gone_and_others_are_not(view, layout, target):
    gone, stays = view.link("job1", PLATE, target), view.link("job2", PLATE, target)
    view.drop("job1")
    view.drop("never was")
    assert not os.path.lexists(gone)
    assert not (layout.view / "job1").exists()
    assert stays.exists()
    view.check()
    assert view.link("job1", PLATE, target).exists()


def test_links_to_what_is_evicted_are_taken_away_first(tmp_path):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store, limit=100)
    first, second = store.put("gs://show/1", b"1" * 60), store.put("gs://show/2", b"2" * 60)

    async def body():
        async with house.cache() as cache:
            place = cache.view.link("job1", first.url, (await cache.acquire("s", first)).path)
            cache.release("s")
            await cache.acquire("s", second)
            await turns()
            return place.is_symlink()

    assert run(body()) is False


def test_links_of_an_earlier_run_go_with_their_objects_too(tmp_path):
    store = GatedStore()
    house = CacheHouse(tmp_path / "cache", store, limit=100)
    first, second = store.put("gs://show/1", b"1" * 60), store.put("gs://show/2", b"2" * 60)

    async def earlier():
        async with house.cache() as cache:
            nowhere = cache.view.place("job1", second.url)
            place = cache.view.link("job1", first.url, (await cache.acquire("s", first)).path)
            nowhere.symlink_to(house.root / "objects" / "gone")
            return place, nowhere

    async def later():
        async with house.cache(start=True) as cache:
            await cache._reconciling
            assert place.exists()
            assert not nowhere.is_symlink()
            await cache.acquire("s", second)
            return place.is_symlink()

    place, nowhere = run(earlier())
    assert run(later()) is False
