"""Real scripts, against tables made by reading them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jit_render.script import Node, Script, parse

SCRIPTS = (
    "CGRU__cgru__A_SHOT_01.nk",
    "CGRU__cgru___template.nk",
    "CGRU__cgru__scene__4.nk",
    "CGRU__cgru__scene_stereo.nk",
    "CreativeLyons__NukeSurvivalToolkit_publicRelease__NST_X_Aton_Examples.nk",
    "CreativeLyons__NukeSurvivalToolkit_publicRelease__keying.nk",
    "CreativeLyons__NukeSurvivalToolkit_publicRelease__points_advanced.nk",
    "aws-deadline__deadline-cloud-for-nuke__cwd-path.nk",
    "aws-deadline__deadline-cloud-for-nuke__frame.nk",
    "aws-deadline__deadline-cloud-for-nuke__group-read.nk",
    "aws-deadline__deadline-cloud-for-nuke__ocio.nk",
    "jedypod__nuke-config__Beam.nk",
    "jedypod__nuke-config__ClonePatch.nk",
    "jedypod__nuke-config__FMLSwitcher.nk",
    "jedypod__nuke-config__LUTApply.nk",
    "jedypod__nuke-config__Macbeth_ColorChecker_Chart.nk",
)


BLINK = "/Volumes/BOOTCAMP/work/client/hpd/code/public/general/blink"


@dataclass(frozen=True)
class Table:
    """What a script holds: nodes by class, and for some of them their inputs (None: unconnected), files and lines."""

    classes: dict[str, int]
    inputs: dict[str, tuple[str | None, ...]]
    files: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


TABLES = {
    "CGRU__cgru__A_SHOT_01.nk": Table(
        classes={
            "Roto": 3, "Blur": 2, "Read": 3, "FilterErode": 1, "Grade": 4, "Mirror": 2, "Transform": 3, "Multiply": 3,
            "Premult": 2, "Tracker4": 2, "Dot": 1, "Shuffle": 1, "Saturation": 1, "Defocus": 1, "Merge2": 2, "Copy": 1,
            "Grain2": 1, "Write": 1, "Viewer": 1,
        },
        inputs={
            "Roto2": (), "Blur2": ("Roto2",), "Roto1": ("Read2",), "Multiply1": ("Blur1", "Blur2"),
            "Dot1": ("Tracker2",), "Shuffle1": ("Dot1",), "Grade4": ("Dot1", "Grade3"), "Roto3": ("Grade4",),
            "Merge2": ("Defocus1", "Premult1"), "Merge1": ("Read1", "Tracker1"), "Copy1": ("Merge1", "Tracker1"),
            "Write1": ("Grain2_1",), "Viewer1": ("Grain2_1",),
        },
        files={
            "Read2": "SOURCE/JPG/star_wars/drive_01/img.####.jpg",
            "Read4": "SOURCE/JPG/star_wars/droids_02/img.####.jpg",
            "Read1": "SOURCE/JPG/kin-dza-dza/q/img.####.jpg",
            "Write1": "/data/cgru/rules_root/CG_PROJECT/SCENES/A_SCENE/A_SHOT_01/RESULT/JPG/v001/A_SHOT_01.####.jpg",
        },
        lines={"Roto2": 53, "Read2": 316, "Write1": 1104, "Viewer1": 1114},
    ),
    "CGRU__cgru___template.nk": Table(
        classes={"BackdropNode": 1, "Read": 3, "Dot": 3, "Write": 3, "afanasy": 3, "NoOp": 1},
        inputs={
            "Dot28": (), "Dot2": ("Dot28",), "w_dpx": ("Dot2",), "af_DPX": ("w_dpx",), "w_jpg": ("Dot28",),
            "Dot1": ("Dot2",), "w_tif": ("Dot1",), "af_TIF": ("w_tif",), "ctrl": (), "r_jpg": (),
        },
        files={
            "r_jpg": "[ value w_jpg.file ]",
            "w_dpx": "RESULT/DPX/[value ctrl.shot]_[value ctrl.v3p]/[value ctrl.shot]_[value ctrl.v3p].####.dpx",
        },
    ),
    "CGRU__cgru__scene_stereo.nk": Table(
        classes={
            "ColorBars": 1, "Transform": 2, "Write": 4, "Constant": 1, "Ramp": 1, "afanasy": 4, "Read": 5, "Switch": 3,
            "Merge2": 1, "Crop": 1, "cgru_dailies": 1, "Viewer": 1,
        },
        inputs={
            "Transform8": ("Transform1",), "key": ("Transform8",), "Ramp1": ("Constant1",), "back": ("Ramp1",),
            "afanasy1": ("back", "key"), "Switch2": ("Transform8", "Read3"), "Switch1": ("Ramp1", "Read2"),
            "Merge1": ("Switch1", "Switch2"), "final": ("Crop1",), "Switch3": ("Crop1", "Read1"),
            "preview": ("Switch3",), "afanasy2": ("preview", "final", "afanasy1"), "dailies": ("Read_stereo",),
            "afanasy": ("afanasy3", "afanasy2"), "Viewer1": ("dailies",),
        },
        files={
            "key": "render/key_%v.%04d.exr", "back": "render/back_%v.%04d.exr", "final": "render/final_%v.%04d.exr",
            "preview": "render/preview_%v.%04d.jpg", "Read3": "render/key_%v.%04d.exr",
            "Read_left": "render/preview_l.%04d.jpg",
        },
    ),
    "aws-deadline__deadline-cloud-for-nuke__cwd-path.nk": Table(
        classes={"ColorBars": 1, "Viewer": 1, "Write": 1},
        inputs={"ColorBars1": (), "Viewer1": ("ColorBars1",), "Write1": ("ColorBars1",)},
        files={"Write1": "output_####.exr"},
        lines={"ColorBars1": 18, "Write1": 34},
    ),
    "aws-deadline__deadline-cloud-for-nuke__frame.nk": Table(
        classes={"ColorBars": 1, "Viewer": 1, "Write": 1},
        inputs={"ColorBars1": (), "Viewer1": ("Write1",), "Write1": ("ColorBars1",)},
        files={"Write1": "ColorBars.png"},
    ),
    "aws-deadline__deadline-cloud-for-nuke__group-read.nk": Table(
        classes={"Group": 1, "Read": 1, "Output": 1, "Viewer": 1},
        inputs={"Group1": (), "Group1.Read1": (), "Group1.Output1": ("Group1.Read1",), "Viewer1": ("Group1",)},
        files={"Group1.Read1": "colorbars.png"},
    ),
    "aws-deadline__deadline-cloud-for-nuke__ocio.nk": Table(
        classes={"ColorBars": 1, "Viewer": 1, "Write": 1},
        inputs={"Viewer1": ("ColorBars1",), "Write1": ("ColorBars1",)},
        files={"Write1": "output/output_####.png"},
    ),
    "jedypod__nuke-config__Beam.nk": Table(
        classes={"Group": 1, "Input": 1, "BlinkScript": 1, "Output": 1},
        inputs={
            "BlinkBeam": (None,), "BlinkBeam.Input": (), "BlinkBeam.BlinkScript2": ("BlinkBeam.Input",),
            "BlinkBeam.Output1": ("BlinkBeam.BlinkScript2",),
        },
        lines={"BlinkBeam": 1, "BlinkBeam.Input": 16},
    ),
    "jedypod__nuke-config__ClonePatch.nk": Table(
        classes={
            "Group": 1, "Input": 2, "Dot": 10, "Transform": 1, "FrameHold": 1, "TimeOffset": 1, "Switch": 4,
            "ColorCorrect": 1, "Shuffle": 2, "Merge2": 3, "Blur": 1, "Keymix": 1, "Output": 1,
        },
        inputs={
            f"ClonePatch.{name}": tuple(f"ClonePatch.{one}" for one in inputs)
            for name, inputs in {
                "FrameHold1": ("Transform_patch",), "TimeOffset1": ("Transform_patch",),
                "Switch1": ("TimeOffset1", "FrameHold1"), "Difference_Merge": ("Dot13", "Dot3"),
                "Switch4": ("Difference_Merge1", "Difference_Merge"), "Merge3": ("Switch4", "Shuffle1"),
                "Switch2": ("Shuffle2", "Dot4"), "Keymix1": ("Dot2", "Dot1", "Blur1"), "Switch3": ("Keymix1", "Dot10"),
                "Output1": ("Switch3",), "InputAlpha": (),
            }.items()
        },
    ),
    "jedypod__nuke-config__FMLSwitcher.nk": Table(
        classes={"Group": 1, "Input": 1, "Dot": 1, "Text": 3, "FrameHold": 3, "Switch": 1, "Output": 1},
        inputs={
            "FML_SWITCHER30": (None,), "FML_SWITCHER30.Text1": ("FML_SWITCHER30.Dot5",),
            "FML_SWITCHER30.frame_switcher": (
                "FML_SWITCHER30.FIRST", "FML_SWITCHER30.MIDDLE", "FML_SWITCHER30.LAST",
            ),
        },
    ),
    "jedypod__nuke-config__LUTApply.nk": Table(
        classes={
            "BackdropNode": 15, "ColorWheel": 1, "Dot": 6, "OCIOFileTransform": 1, "CMSTestPattern": 1, "Grade": 2,
            "Saturation": 2, "BlinkScript": 2, "Difference": 2, "Shuffle": 2, "Viewer": 1, "Reformat": 2, "Write": 2,
            "GenerateLUT": 1,
        },
        inputs={
            "BlinkScript1": ("Dot3", "Dot5"), "Difference3": ("BlinkScript1", "OCIOFileTransform2"),
            "BlinkScript11": ("Dot21", "Dot4"), "Difference9": ("BlinkScript11", "Saturation4"),
            "Viewer1": ("CMSTestPattern9", "BlinkScript11", "Shuffle3"), "Reformat6": ("Dot19",),
            "Write5": ("Reformat6",), "GenerateLUT12": ("Dot1",), "Write7": ("Reformat8",),
        },
        files={
            "Write5": f"{BLINK}/scripts/LUTApply_identity.jpg",
            "OCIOFileTransform2": f"{BLINK}/scripts/exampleGrade.3dl",
        },
    ),
}  # fmt: skip


@pytest.fixture(params=SCRIPTS)
def real_script(request: pytest.FixtureRequest, shared_data: Path) -> Script:
    path = shared_data / "nk" / request.param
    return parse(path.read_bytes(), name=path.name)


def test_every_real_script_is_read_and_connected(real_script: Script) -> None:
    assert real_script.nodes
    known = set(map(id, real_script.nodes))
    for node in real_script.nodes:
        assert node.name
        assert all(source is None or id(source) in known for source in node.inputs)
        assert all(source is None or source.parent is node.parent for source in node.inputs)


def test_the_folder_holds_no_script_that_is_not_tried(shared_data: Path) -> None:
    assert sorted(path.name for path in (shared_data / "nk").glob("*.nk")) == sorted(SCRIPTS)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_script_agrees_with_the_table_made_by_reading_it(name: str, shared_data: Path) -> None:
    table = TABLES[name]
    script = parse((shared_data / "nk" / name).read_bytes(), name=name)

    counted: dict[str, int] = {}
    for node in script.nodes:
        counted[node.cls] = counted.get(node.cls, 0) + 1
    assert counted == table.classes
    for full_name, inputs in table.inputs.items():
        assert tuple(source and source.full_name for source in script.find(full_name).inputs) == inputs, full_name
    for full_name, file in table.files.items():
        assert script.find(full_name).knobs["file"] == file
    for full_name, line in table.lines.items():
        assert script.find(full_name).line == line


def test_clones_of_a_real_script_show_their_original_s_knobs(shared_data: Path) -> None:
    script = parse((shared_data / "nk" / "jedypod__nuke-config__LUTApply.nk").read_bytes())
    grade, saturation = [node for node in script.nodes if node.clone_of is not None]
    assert grade.clone_of is script.find("Grade2")
    assert grade.knobs["white"] == "0.583485 0.531876 1 1"
    assert grade.knobs["xpos"] == "-321"
    assert _names(grade) == ["Dot21"]
    assert saturation.clone_of is script.find("Saturation4")
    assert saturation.inputs == (grade,)


def test_a_mask_of_a_real_script_comes_after_the_pipe(shared_data: Path) -> None:
    script = parse((shared_data / "nk" / "CGRU__cgru__A_SHOT_01.nk").read_bytes())
    multiply = script.find("Multiply1")
    assert [node and node.name for node in multiply.pipe_inputs] == ["Blur1"]
    assert multiply.mask_input is script.find("Blur2")


def test_inputs_of_a_real_group_map_to_what_is_connected(shared_data: Path) -> None:
    script = parse((shared_data / "nk" / "jedypod__nuke-config__ClonePatch.nk").read_bytes())
    assert script.find("ClonePatch.Input").group_input() == 0
    assert script.find("ClonePatch.InputAlpha").group_input() == 1
    group = script.find("ClonePatch")
    assert group.output is script.find("ClonePatch.Output1")
    assert group.user_knobs["feather"].target == "Blur1.size"
    assert group.user_knobs["mix"].type_id == 7


def _names(node: Node) -> list[str | None]:
    return [source and source.name for source in node.inputs]
