from __future__ import annotations

import pytest
from plan_kit import ROOT, Disk, names, planned, read

from jit_render.script.companions.fonts import font_file
from jit_render.script.plan import Plan

CONFIG = """\
ocio_profile_version: 2
environment:
  SHOT: sh000
  LOOK: film
search_path:
  - luts
  - luts/$SHOT
strictparsing: true
colorspaces:
  - !<ColorSpace>
    name: plate
    from_reference: !<GroupTransform>
      children:
        - !<FileTransform> {src: camera.spi1d, interpolation: linear}
        - !<ColorSpaceTransform> {src: aces, dst: lin}
        - !<FileTransform>
          src: "${LOOK} %SHOT%.cube"
"""
OBJ = "# a model\nmtllib stone.mtl\nv 0 0 0\n"
MTL = "newmtl stone\nKd 1 1 1\nmap_Kd -s 1 1 1 -clamp on tex/stone.<UDIM>.png\nbump  tex/rough stone.png\n"
USDA = """\
#usda 1.0
(
    subLayers = [ @./light.usda@ ]  # not @old.usda@
)
def "Model" (prepend references = [@../lib/rock.usd@</Rock>, @asset:rock@])
{
    asset inputs:file = @tex/rock.<UDIM>.exr@
    string note = "mail@studio"
}
"""


def by_origin(done: Plan, origin: str) -> dict[str, bool]:
    return {one.pattern: one.certain for one in done.reads if one.origin == origin}


def test_the_tables_of_a_colour_configuration_are_found_along_its_search_path() -> None:
    disk = Disk({"/c/config.ocio": CONFIG, "/c/luts/camera.spi1d": "", "/c/luts/sh010/film sh010.cube": ""})
    done = planned(read("/p/a.exr"), disk=disk, environment={"OCIO": "/c/config.ocio", "SHOT": "sh010"})
    assert by_origin(done, "ocio") == {
        "/c/config.ocio": True,
        "/c/luts/camera.spi1d": False,
        "/c/luts/sh010/film sh010.cube": False,
    }


def test_a_table_that_is_nowhere_is_named_where_it_would_be_first() -> None:
    done = planned("", disk=Disk({"/c/config.ocio": CONFIG}), environment={"OCIO": "/c/config.ocio"})
    assert "/c/luts/film sh000.cube" in by_origin(done, "ocio")


def test_the_configuration_may_stand_in_root_or_in_a_node() -> None:
    root = ROOT.replace("inputs 0", "inputs 0\n OCIO_config custom\n customOCIOConfigPath /c/root.ocio", 1)
    disk = Disk({"/c/node.ocio": "search_path: luts:more\n x: !<FileTransform> {src: a.cube}\n", "/c/more/a.cube": ""})
    body = root + read("/p/a.exr") + "OCIOColorSpace {\n configfile /c/node.ocio\n}\n"
    assert names(planned(body, disk=disk)) == ["/c/more/a.cube", "/c/node.ocio", "/c/root.ocio", "/p/a.exr"]


@pytest.mark.parametrize("spelled", ["<UDIM>", "%(UDIM)d", "<udim>"])
def test_tiles_are_those_that_are_there(spelled: str) -> None:
    there = ["rock.1001.0005.exr", "rock.1012.0005.exr", "rock.1012.0006.exr", "rock.999.0005.exr", "rock.txt"]
    done = planned(read(f"/t/rock.{spelled}.####.exr"), disk=Disk({f"/t/{name}": "" for name in there}))
    assert names(done) == ["/t/rock.1001.0005.exr", "/t/rock.1012.0005.exr"]


def test_tiles_of_which_none_is_there_stay_one_missing_name() -> None:
    assert names(planned(read("/t/rock.<UDIM>.exr"), disk=Disk())) == ["/t/rock.<UDIM>.exr"]


def test_materials_and_textures_of_a_model_are_named() -> None:
    disk = Disk({"/g/rock.obj": OBJ, "/g/stone.mtl": MTL, "/g/tex/stone.1001.png": ""})
    done = planned("ReadGeo2 {\n inputs 0\n file /g/rock.obj\n}\n", disk=disk)
    assert names(done) == ["/g/rock.obj", "/g/stone.mtl", "/g/tex/rough stone.png", "/g/tex/stone.1001.png"]
    assert by_origin(done, "mtl") == {"/g/stone.mtl": False, "/g/tex/rough stone.png": False}


def test_layers_and_textures_of_a_layer_are_named_and_rings_do_no_harm() -> None:
    disk = Disk({"/g/set.usda": USDA, "/g/light.usda": "#usda 1.0\n(subLayers = [@set.usda@])\n"})
    done = planned("GeoReference {\n inputs 0\n file_path /g/set.usda\n}\n", disk=disk)
    assert by_origin(done, "usda") == {"/g/light.usda": True, "/lib/rock.usd": False, "/g/tex/rock.<UDIM>.exr": False}


def test_a_sequence_of_models_brings_materials_at_the_frames_that_name_them() -> None:
    disk = Disk({"/g/r.0001.obj": "mtllib a.mtl\n", "/g/r.0002.obj": "mtllib b.mtl\n"})
    done = planned("ReadGeo2 {\n inputs 0\n file /g/r.####.obj\n}\n", [1, 2], disk=disk)
    assert names(done, 1) == ["/g/a.mtl", "/g/r.0001.obj"]
    assert names(done, 2) == ["/g/b.mtl", "/g/r.0002.obj"]


def test_plug_ins_of_the_script_and_python_come_from_the_plug_in_folders() -> None:
    folder = ["init.py", "tools.py", "Studio.gizmo", "Other.gizmo", "Fast.so", "notes.txt"]
    disk = Disk({f"/g/{name}": "" for name in folder})
    done = planned("Fast {\n inputs 0\n}\nStudio {\n}\n", disk=disk, gizmo_path=["/g"])
    assert by_origin(done, "gizmo") == {"/g/Studio.gizmo": True}
    assert by_origin(done, "plugin") == {"/g/Fast.so": True, "/g/init.py": True, "/g/tools.py": False}


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("{ Impact : Regular : /f/impact.ttf : 0 }", "/f/impact.ttf"),
        ("{ Impact : Regular : C:\\fonts\\impact.ttf : 0 }", "C:/fonts/impact.ttf"),
        ("{ Impact : Regular : impact.ttf : 0 }", ""),
        ("/f/a.ttf", "/f/a.ttf"),
        ("", ""),
    ],
)
def test_a_font_is_a_file_where_it_has_a_path(text: str, file: str) -> None:
    assert font_file(text) == file


def test_fonts_are_named_unless_they_are_the_machine_s_own() -> None:
    own = 'Text {\n font "\\[python nuke.defaultFontPathname()]"\n}\n'
    done = planned("Text2 {\n inputs 0\n font {{ A : B : /f/a.ttf : 0 }}\n}\n" + own)
    assert (by_origin(done, "font"), done.undecided) == ({"/f/a.ttf": True}, ())
