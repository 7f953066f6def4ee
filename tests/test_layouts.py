"""Layouts: the official orders of the estimators' points, and which keypoints of a chain they are."""

import dataclasses

import pytest

from kinepose_ocp.chain import Chain, Joint, Site
from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import ModelError
from kinepose_ocp.layouts import load_layout
from kinepose_ocp.shipped import shipped_layouts

FULLBODY = load_chain("fullbody")
POINTS = {"body25": 25, "coco17": 17, "h36m17": 17, "halpe26": 26, "mediapipe33": 33, "smpl24": 24}


def test_all_layouts_are_shipped():
    assert shipped_layouts() == sorted(POINTS)


@pytest.mark.parametrize("name", POINTS)
def test_layout_has_all_its_points(name):
    layout = load_layout(name)
    assert layout.name == name
    assert len(layout.points) == len(set(layout.points)) == POINTS[name]
    assert tuple(layout.targets) == layout.points


@pytest.mark.parametrize(
    ("name", "index", "point", "keypoint"),
    [
        ("coco17", 0, "nose", "nose"),
        ("coco17", 5, "left_shoulder", "shoulder_left"),
        ("coco17", 16, "right_ankle", "ankle_right"),
        ("body25", 1, "neck", "neck"),
        ("body25", 4, "right_wrist", "wrist_right"),
        ("body25", 8, "mid_hip", "pelvis"),
        ("body25", 14, "left_ankle", "ankle_left"),
        ("body25", 15, "right_eye", "eye_right"),
        ("body25", 19, "left_big_toe", "toe_big_left"),
        ("body25", 24, "right_heel", "heel_right"),
        ("halpe26", 10, "right_wrist", "wrist_right"),
        ("halpe26", 17, "head", "head"),
        ("halpe26", 19, "hip", "pelvis"),
        ("halpe26", 22, "left_small_toe", "toe_small_left"),
        ("halpe26", 25, "right_heel", "heel_right"),
        ("mediapipe33", 8, "right_ear", "ear_right"),
        ("mediapipe33", 17, "left_pinky", "hand_pinky_left"),
        ("mediapipe33", 22, "right_thumb", "hand_thumb_right"),
        ("mediapipe33", 23, "left_hip", "hip_left"),
        ("mediapipe33", 32, "right_foot_index", "toe_big_right"),
        ("smpl24", 3, "spine1", "spine_lower"),
        ("smpl24", 9, "spine3", "spine_upper"),
        ("smpl24", 12, "neck", "cervicale"),
        ("smpl24", 15, "head", "skull_base"),
        ("smpl24", 23, "right_hand", "hand_right"),
        ("h36m17", 3, "right_ankle", "ankle_right"),
        ("h36m17", 10, "head", "head"),
    ],
)
def test_points_stand_at_their_official_index(name, index, point, keypoint):
    layout = load_layout(name)
    assert layout.points[index] == point
    assert layout.targets[point] == (keypoint,)


def test_points_without_a_keypoint_have_no_target():
    targets = load_layout("mediapipe33").targets
    assert [point for point, target in targets.items() if not target] == [
        "left_eye_inner",
        "left_eye_outer",
        "right_eye_inner",
        "right_eye_outer",
        "mouth_left",
        "mouth_right",
    ]


@pytest.mark.parametrize("name", POINTS)
def test_every_target_is_a_keypoint_of_the_full_body_and_used_once(name):
    targets = [keypoint for target in load_layout(name, FULLBODY).targets.values() for keypoint in target]
    assert set(targets) <= set(FULLBODY.keypoints)
    assert len(targets) == len(set(targets))


@pytest.mark.parametrize("name", POINTS)
def test_sides_are_kept(name):
    for point, target in load_layout(name).targets.items():
        side = point.split("_")[0]
        for keypoint in target:
            expected = side if side in ("left", "right") else None
            ending = keypoint.rsplit("_", 1)[-1]
            assert (ending if ending in ("left", "right") else None) == expected


@pytest.mark.parametrize("name", POINTS)
def test_links_of_the_full_body_join_all_points_of_a_layout(name):
    measured = {keypoint for target in load_layout(name).targets.values() for keypoint in target}
    links = [(link.start, link.end) for link in FULLBODY.links if {link.start, link.end} <= measured]
    reached = {next(iter(measured))}
    for _ in measured:
        reached |= {end for link in links if reached & set(link) for end in link}
    assert reached == measured


# ---- layouts of a chain -------------------------------------------------------------------------------
def chain_with(layouts):
    return Chain("one", "a book", (Joint("a", None),), {"a": Site("a"), "b": Site("a")}, layouts=layouts)


def test_a_chain_overrides_targets_of_a_shipped_layout():
    layout = load_layout("coco17", chain_with({"coco17": {"nose": ["a", "b"], "left_eye": "b"}}))
    assert layout.points == load_layout("coco17").points
    assert layout.targets["nose"] == ("a", "b")
    assert layout.targets["left_eye"] == ("b",)
    assert layout.targets["left_hip"] == ("hip_left",)


def test_a_chain_brings_a_layout_of_its_own():
    layout = load_layout("two", chain_with({"two": {"first": "b", "second": []}}))
    assert layout.points == ("first", "second")
    assert layout.targets == {"first": ("b",), "second": ()}


def test_layout_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_layout("coco17").name = "other"


@pytest.mark.parametrize(
    ("name", "layouts", "message"),
    [
        ("coco", {}, "no layout 'coco'; did you mean 'coco17'?"),
        (
            "mine",
            {"two": {"a": "b"}},
            "no layout 'mine'; possible: body25, coco17, h36m17, halpe26, mediapipe33, smpl24, two",
        ),
        (
            "coco17",
            {"coco17": {"left_ey": "a"}},
            "the chain's layouts.coco17: no point 'left_ey'; did you mean 'left_eye'?",
        ),
    ],
)
def test_unknown_names_are_refused(name, layouts, message):
    with pytest.raises(ModelError) as error:
        load_layout(name, chain_with(layouts))
    assert str(error.value) == message
