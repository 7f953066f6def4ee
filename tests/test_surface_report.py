"""Proportions against published ones, pictures against geometry, folders and JSON whole or not at all."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from kinepose_ocp import surface_figures
from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_folder
from kinepose_ocp.io.json_file import write_json
from kinepose_ocp.surface import anthropometry, published_shares
from kinepose_ocp.surface.joint_geometry import JointGeometry, hung_geometry
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.shaded import BONE, View, picture
from kinepose_ocp.surface.skeleton import open_skeleton
from kinepose_ocp.surface_figures import FRONT, RIGHT, plot_skeleton

H = 1.741  # m: de Leva's men


def person(changes=None):
    """Joints whose distances are those of de Leva's men [mm]."""
    heights = {
        "hip": 895.2,
        "knee": 473.0,
        "ankle": 32.7,
        "gh": 895.2 + 515.5,
        "elbow": 1129.0,
        "wrist": 860.1,
    }
    heights |= changes or {}
    centres = {
        f"{name}_{side}": np.array([0, 0, z / 1000])
        for name, z in heights.items()
        for side in ("left", "right")
    }
    marks = {"skull/head_top": np.array([0.02, 0, 1.741]), "cspine/c7": np.array([-0.1, 0, 1.741 - 0.2429])}
    return JointGeometry(centres, {}, {}, marks)


def test_a_person_as_published_deviates_by_nothing():
    found = {one.segment: one for one in anthropometry.proportions(person(), H)}
    assert len(found) == 6  # no landmarks of hand and foot
    for one in found.values():
        assert one.deviations[published_shares.LEVA_MEN] == pytest.approx(0, abs=0.05)
        assert abs(one.outside) < 1e-9
    assert found["thigh (hip - knee)"].deviations[published_shares.WINTER] == pytest.approx(-1.02, abs=0.1)
    assert anthropometry.warnings(list(found.values())) == []


def test_a_segment_beyond_all_sources_is_named():
    found = anthropometry.proportions(person({"wrist": 900.0}), H)  # a forearm of 229 mm, 13.2 %
    (text,) = anthropometry.warnings(found)
    assert text.startswith(
        "forearm (elbow - wrist): 13.2 % of the stature, 10 % shorter than published of adults (14.6 to"
    )


def test_forearm_and_hand_meet_beyond_the_radial_styloid():
    """De Leva's wrist: 2 mm beyond that tip on the axis of the forearm, not half-way between the styloids."""
    plain = person({"wrist": 867.0})
    marks = dict(plain.landmarks)
    for side, aside in (("right", -0.02), ("left", 0.02)):
        marks[f"forearm_{side}/radial_styloid"] = np.array([0, aside, 0.8621])  # 4.9 mm below the joint
        marks[f"hand_{side}/metacarpal_3"] = np.array([0, 0, 0.8601 - 0.0862])
    found = anthropometry.proportions(JointGeometry(plain.centres, {}, {}, marks), H)
    for one in found:
        if one.segment.startswith(("forearm", "hand")):
            assert one.deviations[published_shares.LEVA_MEN] == pytest.approx(0, abs=0.05)


def test_published_shares_are_read_without_the_package():
    """As the build of the open body does, which has none of the package's dependencies."""
    tree = ast.parse(Path(published_shares.__file__).read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_stature_must_be_a_length():
    with pytest.raises(DataError, match=r"a stature must be a positive number \[m\], found -1"):
        anthropometry.proportions(person(), -1)


# ---- pictures ------------------------------------------------------------------------------------
def ball(centre, radius, rows=24):
    """A sphere of triangles."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, 2 * rows), indexing="ij"
    )
    points = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1
    )
    index = np.arange(polar.size).reshape(polar.shape)
    one, two, three, four = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack([one, two, three], -1), np.stack([one, three, four], -1)]).reshape(-1, 3)
    return Mesh(np.array(centre) + radius * points.reshape(-1, 3), faces)


def test_a_ball_covers_the_area_of_its_disc():
    """Pixels, orientation, and what hides what: a bone inside its skin, and one that reaches out of it."""
    skin, bone = ball([0, 0, 1], 0.5), ball([0, 0.2, 1], 0.1)
    view = View.of(FRONT, skin.vertices, 200)
    image = picture(view, skin, bone)
    drawn = (image < 0.999).any(axis=2)
    assert drawn.sum() * view.pixel**2 == pytest.approx(np.pi * 0.25, rel=0.02)
    alone = picture(
        view, Mesh(skin.vertices - np.array([9, 0, 0]), skin.faces), bone
    )  # the skin behind the bone
    spots = np.argwhere((np.abs(image - picture(view, skin, ball([9, 9, 9], 0.1))) > 0.01).any(axis=2))
    middle = spots.mean(0) * view.pixel + view.low[::-1]
    np.testing.assert_allclose(middle, [1, 0.2], atol=0.02)  # up, and left of the body at the right
    row, column = spots.mean(0).astype(int)
    assert np.abs(image[row, column] - alone[row, column]).max() > 0.03  # skin over the bone


def test_bones_outside_the_skin_are_uncovered():
    skin, bone = ball([0, 0, 1], 0.5), ball([0.6, 0, 1], 0.1)
    view = View.of(FRONT, skin.vertices, 150)
    centre = picture(view, skin, bone)[view.size[0] // 2, view.size[1] // 2]
    assert (centre / centre.max() == pytest.approx(BONE / BONE.max(), abs=0.01)) and centre.max() > 0.3
    beside = View.of(RIGHT, np.vstack([skin.vertices, bone.vertices]), 150)
    assert beside.size[1] > beside.size[0]


def test_the_figure_shows_both_views_and_names_joints(monkeypatch):
    monkeypatch.setattr(surface_figures, "ROWS", 200)
    skeleton = open_skeleton()
    skin, bone = ball([0, 0, 0.9], 0.9), ball([0, 0, 0.9], 0.3)
    figure = plot_skeleton(skin, bone, {joint.name: joint.centre for joint in skeleton.joints}, "Anna")
    texts = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"hip", "knee", "shoulder", "L5 - S1", "20 cm"} <= texts
    assert [ax.get_title() for ax in figure.axes] == ["from the front", "from the right"]
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "joint centre, right",
        "joint centre, middle",
        "joint centre, left",
    ]


# ---- geometry and files --------------------------------------------------------------------------
def test_hanging_parts_keep_their_size_and_close_gaps():
    """A turned part keeps the distances of its joints; rotation and scale act where they are told."""
    skeleton = open_skeleton()
    scales = np.ones((len(skeleton.parts), 3))
    turns = np.tile(np.eye(3), (len(skeleton.parts), 1, 1))
    femur = skeleton.parts.index("femur_left")
    turns[femur], scales[femur] = np.array([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]]), 2.0
    plain, bent = hung_geometry(skeleton, np.ones_like(scales)), hung_geometry(skeleton, scales, turns)
    before = plain.centres["knee_left"] - plain.centres["hip_left"]
    np.testing.assert_allclose(
        bent.centres["knee_left"] - bent.centres["hip_left"], 2 * turns[femur] @ before
    )
    shank = [each.centres["ankle_left"] - each.centres["knee_left"] for each in (plain, bent)]
    np.testing.assert_allclose(*shank, atol=1e-12)
    np.testing.assert_allclose(bent.axes["hip_left"], plain.axes["hip_left"] @ turns[femur].T, atol=1e-5)


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with whole_folder(tmp_path / "a" / "out") as folder:
        (folder / "x.txt").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert (tmp_path / "a" / "out" / "x.txt").read_text() == "x"
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "b") as folder:
        (folder / "x.txt").write_text("x")
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with (
        pytest.raises(DataError, match="out: is a folder that is not empty"),
        whole_folder(tmp_path / "a" / "out"),
    ):
        pass
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty") as folder:
        (folder / "y").write_text("y")
    assert (tmp_path / "empty" / "y").exists()


def test_json_holds_plain_values_only(tmp_path):
    write_json({"a": [1, 2.5, "ä"], "b": {"c": None}}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "a": [1, 2.5, "ä"],
        "b": {"c": None},
    }
    for bad in ({"a": float("nan")}, {"a": np.zeros(2)}):
        with pytest.raises(DataError, match=r"b.json: cannot be written as JSON"):
            write_json(bad, tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()
