"""The command ``skeleton`` as users meet it: real files in, a whole folder or nothing out."""

import importlib.util
import json
from pathlib import Path

import igl
import numpy as np
import pytest
import trimesh
import xarray as xr
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp import cli, surface_figures
from kinepose_ocp.errors import DataError
from kinepose_ocp.kinematics import Kinematics
from kinepose_ocp.surface import command, surfaces
from kinepose_ocp.surface.body import example_people, open_body
from kinepose_ocp.surface.closest_point_search import ClosestPointSearch
from kinepose_ocp.surface.mesh import Mesh, write_mesh
from kinepose_ocp.surface.registration import LINEAR
from kinepose_ocp.surface.regressor import fit_regressor, save_regressor

ROOT = Path(__file__).resolve().parents[1]
SHAPE = np.array([0.5, -0.8, 0.4])
MADE = {"bones", "skeleton.ply", "body.ply", "skeleton.nc", "subject.yaml", "report.json", "skeleton.png"}


def call(*arguments):
    """Exit status of a command line."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module", autouse=True)
def _small_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_figures, "ROWS", 200)
        yield


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("body_skeleton", ROOT / "studies" / "body_skeleton.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(study, tmp_path_factory):
    """The results of the study: a mesh file in centimetres with y up."""
    folder = tmp_path_factory.mktemp("skeleton") / "anna"
    study.main(folder)
    return folder


def test_everything_is_there(made):
    assert {path.name for path in made.iterdir()} == MADE
    assert len(list((made / "bones").glob("*.ply"))) == 102
    assert [path.name for path in made.parent.iterdir() if path.name.startswith(".")] == []


def test_bones_are_where_the_users_mesh_is(made, study):
    skin = trimesh.load(made.parent / "anna_body.ply", process=False)
    bones = trimesh.load(made / "skeleton.ply", process=False)
    parts = [trimesh.load(path, process=False) for path in sorted((made / "bones").glob("femur*.ply"))]
    assert len(parts) == 2
    assert (bones.bounds[0] > skin.bounds[0] - 1).all() and (bones.bounds[1] < skin.bounds[1] + 1).all()  # cm
    body = command.default_body()
    hip = (
        body.posed(example_people()[study.PERSON]).joint_positions[body.joint_index("upperleg_left")][
            [1, 2, 0]
        ]
        * 100
    )
    head = parts[0].vertices[np.linalg.norm(parts[0].vertices - hip, axis=1).argmin()]
    assert np.linalg.norm(head - hip) < 5  # cm


def test_the_report_tells_what_it_is_worth(made, study):
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert report["source"] == "anna_body.ply" and report["schema"] == 1
    assert report["body"]["mesh_unit"] == "centimetres" and report["body"]["mesh_up"] == "+y"
    assert report["registration"]["body_to_mesh_mean_mm"] < 1
    assert report["bones"]["inside_percent"] > 98 and len(report["bones"]["inside_percent_by_part"]) == 23
    assert report["joints"]["gap_of_balls_and_hinges_mm"] < 0.1
    overlap = report["joints"]["overlap_of_neighbours_mm"]
    assert len(overlap) == 22 and 0 < max(overlap.values()) < 10  # 5.3 mm in the template
    assert report["joints"]["largest_overlap_of_neighbours_mm"] == max(overlap.values())
    assert len(report["anthropometry"]) == 8 and report["limits"] and report["versions"]["kinepose_ocp"]
    standing = command.default_body().posed(example_people()[study.PERSON]).vertices
    assert report["body"]["stature_m"] == pytest.approx(np.ptp(standing[:, 2]), abs=0.005)


def test_the_datasets_agree_with_the_meshes(made):
    """Rotation, scale, origin and translation place the template's bone where its file is."""
    motion = xr.load_dataset(made / "skeleton.nc")
    skeleton = command.default_skeleton()
    bone = next(each for each in skeleton.bones if each.part == "tibia_right")
    one = motion.sel(part=bone.part).isel(time=0)
    turn = Rotation.from_quat(one.part_rotation.values[[1, 2, 3, 0]])
    world = (
        turn.apply((bone.mesh.vertices - one.part_origin.values) * one.part_scale.values)
        + one.part_translation.values
    )
    back = world @ motion.attrs["mesh_rotation"].reshape(3, 3) * 100
    filed = trimesh.load(made / "bones" / f"{bone.name}.ply", process=False)
    np.testing.assert_allclose(filed.vertices, back, atol=1e-3)
    assert motion.attrs["mesh_unit"] == "centimetres" and len(motion.attrs["input_sha256"]) == 64


def test_the_chain_has_the_lengths_of_the_bones(made):
    chain, motion = kp.load_chain(made / "subject.yaml"), xr.load_dataset(made / "skeleton.nc").isel(time=0)
    assert chain.name == "anna_body"
    pose = Kinematics(chain)(np.zeros(len(chain.free_dofs)))
    joints = dict(zip(chain.joint_names, pose.joint_position[0], strict=True))
    for first, second in (("hip", "knee"), ("knee", "ankle"), ("elbow", "wrist")):
        bones = motion.joint_centre.sel(joint=[f"{first}_left", f"{second}_left"]).values
        ours = np.linalg.norm(joints[f"{first}_left"] - joints[f"{second}_left"])
        assert ours == pytest.approx(np.linalg.norm(bones[0] - bones[1]), abs=1e-4)


def thigh_regressor(body):
    """From shapes of a body to the ends of its left thigh."""
    shapes = np.random.default_rng(0).normal(size=(40, body.shape_count))
    ends = [body.joint_index(f"{name}_left") for name in ("upperleg", "lowerleg")]
    points = np.array([body.posed(shape).joint_positions[ends] for shape in shapes])
    return fit_regressor(shapes, points, "40 random shapes", names=("hip_left", "knee_left"))


def test_a_sequence_of_poses_gives_points_that_its_chain_solves(tmp_path):
    body = command.default_body()
    rotations = np.zeros((3, len(body.parents), 3))
    rotations[:, body.joint_index("lowerleg_left"), 1] = np.radians([0, 30, 60])
    np.savez(
        tmp_path / "squat.npz",
        shape=SHAPE,
        rotations=rotations,
        translation=np.zeros((3, 3)),
        rate=np.array(30.0),
    )
    save_regressor(thigh_regressor(body), tmp_path / "thighs.npz")
    given = "--regressor", tmp_path / "thighs.npz"
    assert call("skeleton", tmp_path / "squat.npz", "-o", tmp_path / "out", *given) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["regressor"]
    assert told["population"] == "40 random shapes" and set(told["size_for_the_stature"]) == {"femur_left"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == MADE | {"keypoints.nc"}
    motion = xr.load_dataset(tmp_path / "out" / "skeleton.nc")
    np.testing.assert_allclose(motion.time, np.arange(3) / 30)
    shank = Rotation.from_quat(motion.part_rotation.sel(part="tibia_left").values[:, [1, 2, 3, 0]])
    thigh = Rotation.from_quat(motion.part_rotation.sel(part="femur_left").values[:, [1, 2, 3, 0]])
    bent = np.degrees((thigh.inv() * shank).magnitude())
    assert 45 < bent[-1] - bent[0] < 70
    chain = kp.load_chain(tmp_path / "out" / "subject.yaml")
    points = kp.read_keypoints(tmp_path / "out" / "keypoints.nc", chain=chain)
    apart = np.linalg.norm(
        points.position.sel(keypoint="knee_left") - points.position.sel(keypoint="hip_left"), axis=1
    )
    length = np.linalg.norm(next(joint.offset for joint in chain.joints if joint.name == "knee_left"))
    np.testing.assert_allclose(apart, length, atol=1e-4)


def test_a_sequence_of_meshes_has_one_shape(tmp_path):
    body, bent = command.default_body(), np.zeros((23, 3))
    bent[8] = [0, 0.5, 0]
    vertices = np.array([body.posed(SHAPE, turns).vertices for turns in (None, bent)])
    np.savez(tmp_path / "two.npz", vertices=vertices, faces=body.faces)
    request = command.Request(tmp_path / "two.npz", tmp_path / "out", rate=25.0)
    found = command.read_surfaces(request, body)
    assert len(found.targets) == 2 and found.time[1] == 0.04
    for target, wanted in zip(found.targets, vertices, strict=True):
        turn = found.frame.to_world(wanted)
        assert np.linalg.norm(target.vertices - turn, axis=1).mean() < 0.001


def sequence_of(*shapes):
    """Meshes of the open body standing in some shapes (S,)."""
    body = command.default_body()
    return [body.mesh(body.posed(np.array(shape))) for shape in shapes]


def test_the_misfit_of_a_sequence_is_that_of_the_bodies_used():
    """Distances are those between the meshes and the body of the mean shape, by vertices where these pair."""
    meshes, body = sequence_of([0.0, 0.2], [0.0, 0.6]), command.default_body()
    found = surfaces.of_meshes(meshes, 30.0, body)
    assert found.shape[1] == pytest.approx(0.4, abs=0.02)
    for mesh, target, residual in zip(meshes, found.targets, found.residuals, strict=True):
        apart = np.linalg.norm(target.vertices - found.frame.to_world(mesh.vertices), axis=1)
        between = 1e3 * np.average(apart, weights=body.mesh(target).vertex_areas())
        assert 0.2 < residual.body_to_mesh_mean_mm < between
        assert residual.body_to_mesh_mean_mm > 0.2 * between


def test_poses_of_noisy_meshes_fit_the_shape_that_they_share():
    """Nearer to the true joints than poses that fit a shape of each frame's own; bones keep their lengths."""
    body, random = command.default_body(), np.random.default_rng(4)
    truth, true, meshes = random.normal(size=body.shape_count) * 0.7, [], []
    for bend in (0.0, 0.3, 0.6):
        turns = np.zeros((len(body.parents), 3))
        turns[[body.joint_index("lowerleg_right"), body.joint_index("upperleg_left")], 1] = bend, -bend
        true.append(body.posed(truth, turns))
        noise = 0.003 * random.normal(size=body.template.shape)  # m
        meshes.append(Mesh(true[-1].vertices + noise, body.faces))
    found = surfaces.of_meshes(meshes, 30.0, body, "z")
    alone = [surfaces.registrar(body).register(mesh, None, found.frame) for mesh in meshes]
    np.testing.assert_allclose(found.shape, np.mean([each.shape for each in alone], axis=0))
    roots = [each.posed.joint_positions[0] for each in alone]
    before = [body.posed(found.shape, each.rotations) for each in alone]
    off = [
        target.joint_positions - wanted.joint_positions
        for target, wanted in zip(found.targets, true, strict=True)
    ]
    once = [
        posed.joint_positions - posed.joint_positions[0] + root - wanted.joint_positions
        for posed, root, wanted in zip(before, roots, true, strict=True)
    ]
    assert np.linalg.norm(off, axis=2).mean() < 0.9 * np.linalg.norm(once, axis=2).mean() < 0.0015
    for target in found.targets:
        bones = target.joint_positions[1:] - target.joint_positions[list(body.parents[1:])]
        resting = body.posed(found.shape).joint_positions
        lengths = np.linalg.norm(resting[1:] - resting[list(body.parents[1:])], axis=1)
        np.testing.assert_allclose(np.linalg.norm(bones, axis=1), lengths, atol=1e-9)


def test_a_sequence_of_different_people_is_refused():
    meshes = sequence_of([1.5], [1.5], [-1.5])
    message = r"frame 3: with the mean shape of all 3 frames, the body.* does not fit the mesh: mean distance"
    with pytest.raises(DataError, match=message):
        surfaces.of_meshes(meshes, 30.0, command.default_body())


def test_frames_spread_over_a_long_sequence_tell_its_shape():
    """Frames 1, 2, 4, 5, 6, 7, 9 and 10 of ten; every pose is fitted with the mean of their shapes."""
    body, random = command.default_body(), np.random.default_rng(2)
    shapes = 0.05 * random.normal(size=(10, body.shape_count))
    meshes = sequence_of(*shapes)
    found = surfaces.of_meshes(meshes, 30.0, body, "z")
    told = [0, 1, 3, 4, 5, 6, 8, 9]
    np.testing.assert_allclose(found.shape, shapes[told].mean(0), atol=0.002)
    assert len(found.targets) == len(found.residuals) == 10


def test_a_frame_that_is_no_body_is_refused_by_its_number():
    body, (mesh,) = command.default_body(), sequence_of(SHAPE)
    cut = Mesh(mesh.vertices, mesh.faces[:-9000])
    with pytest.raises(DataError, match=r"^frame 2: the mesh is open"):
        surfaces.of_meshes([mesh, cut, mesh], 30.0, body, "z")
    with pytest.raises(DataError, match=r"^(frame 1: )?the mesh is open"):
        surfaces.of_meshes([cut, mesh], 30.0, body)


def bent(body, *degrees):
    """Poses with both hips and knees bent so far."""
    for angle in np.radians(degrees):
        turns = np.zeros((len(body.parents), 3))
        for side in ("left", "right"):
            turns[body.joint_index(f"upperleg_{side}"), 1] = -angle
            turns[body.joint_index(f"lowerleg_{side}"), 1] = angle
        yield body.posed(SHAPE, turns)


def test_skin_that_is_drawn_in_where_it_bends_is_fitted_so():
    """Meshes of programs that blend linearly, in the body's own topology and in another."""
    body = command.default_body()
    (squat,) = bent(body.plain, 110)
    vertices, faces, _, _ = igl.decimate(squat.vertices, body.faces, 6000)
    for mesh, most in ((body.mesh(squat), 0.1), (Mesh(vertices, faces), 1.5)):
        found = surfaces.of_mesh(mesh, body)
        assert found.body is body.plain and found.notes[-1] == LINEAR
        assert found.residuals[0].mean_mm < most


def test_a_sequence_is_drawn_in_as_a_whole_or_not_at_all():
    body = command.default_body()
    for each in (body, body.plain):
        meshes = [body.mesh(posed) for posed in bent(each, 0, 20, 100)]
        found = surfaces.of_meshes(meshes, 10.0, body, "z")
        assert found.body is each
        assert max(residual.mean_mm for residual in found.residuals) < 0.5


def test_frames_start_from_the_one_before_and_fit_as_well(monkeypatch):
    body, searched = command.default_body(), []
    search = ClosestPointSearch.candidates
    monkeypatch.setattr(
        ClosestPointSearch, "candidates", lambda self, *given: searched.append(1) or search(self, *given)
    )
    true = [posed.joint_positions for posed in bent(body, 0, 10, 20)]
    meshes = [Mesh(*igl.decimate(posed.vertices, body.faces, 6000)[:2]) for posed in bent(body, 0, 10, 20)]
    away = Rotation.from_euler("z", 150, degrees=True).as_matrix()
    true.append(true[-1] @ away.T)
    meshes.append(meshes[-1].with_vertices(meshes[-1].vertices @ away.T))
    found = surfaces.of_meshes(meshes, 10.0, body, "z")
    assert len(searched) == 2  # the first frame, and the last one, which is far from the one before
    for target, joints in zip(found.targets, true, strict=True):
        assert np.linalg.norm(target.joint_positions - joints, axis=1).mean() < 0.005  # m


# ---- what is refused -----------------------------------------------------------------------------
def open_arrays():
    with np.load(ROOT / "models" / "surface" / "body.npz") as archive:
        return {name: archive[name] for name in archive.files}


def bad_folder(folder):
    """Files of which each is wrong in its own way."""
    body = open_body()
    write_mesh(body.mesh(body.posed()), folder / "body.ply")
    (folder / "notes.txt").write_text("hello")
    (folder / "broken.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 3\n")
    trimesh.creation.icosphere(radius=1.2).export(folder / "ball.ply")
    np.savez(folder / "empty.npz", other=np.zeros(3))
    np.savez(folder / "norate.npz", vertices=np.zeros((2, 4, 3)), faces=np.zeros((1, 3), int))
    np.savez(folder / "flat.npz", vertices=np.zeros((4, 3)), faces=np.zeros((1, 3), int), rate=30.0)
    np.savez(
        folder / "poses.npz", shape=np.zeros(3), rotations=np.zeros((2, 5, 3)), translation=np.zeros((2, 3))
    )
    still = {"rotations": np.zeros((2, 23, 3)), "translation": np.zeros((2, 3)), "rate": 30.0}
    np.savez(folder / "textshape.npz", **(still | {"shape": np.array(["a", "b"])}))
    np.savez(folder / "textturns.npz", **(still | {"shape": [0], "rotations": np.full((2, 23, 3), "a")}))
    triangles, corners = np.zeros((1, 3), int), np.zeros((2, 4, 3))
    np.savez(folder / "textmesh.npz", vertices=np.full((2, 4, 3), "a"), faces=triangles, rate=30.0)
    np.savez(folder / "textfaces.npz", vertices=corners, faces=np.full((1, 3), "a"), rate=30.0)
    np.savez(folder / "halffaces.npz", vertices=corners, faces=triangles + 0.5, rate=30.0)
    np.savez(folder / "model.npz", **(open_arrays() | {"weights": np.full((12073, 23), "x")}))
    random = np.random.default_rng(0)
    few = fit_regressor(random.normal(size=(8, 3)), random.normal(size=(8, 2, 3)), "nobody", folds=2)
    save_regressor(few, folder / "few.npz")
    (folder / "marks.yaml").write_text("head_top: [0, 1]\n")
    (folder / "unknown.yaml").write_text("head_tip: [0, 0, 1]\n")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.ply"], "none.ply: no such file"),
        (["notes.txt"], "notes.txt: not a body's surface; possible: .ply, .obj"),
        (["broken.ply"], "broken.ply: not a readable mesh"),
        (["ball.ply"], "ball.ply: the mesh is of no body's size"),
        (["empty.npz", "--rate", "30"], "needed: arrays vertices, faces, or shape, rotations, translation"),
        (
            ["empty.npz"],
            "needed: arrays vertices, faces, or shape, rotations, translation; found: none of them",
        ),
        (
            ["body.ply", "--rate", "30"],
            "body.ply: --rate has no meaning for one mesh; possible: --up, --landmarks",
        ),
        (["norate.npz", "--landmarks", "marks.yaml"], "--landmarks has no meaning for a sequence of meshes"),
        (["poses.npz", "--landmarks", "marks.yaml"], "--landmarks has no meaning for a sequence of poses"),
        (
            ["poses.npz", "--up", "y"],
            "poses.npz: --up has no meaning for a sequence of poses; possible: --rate",
        ),
        (["norate.npz"], "no array 'rate'; give the sampling rate with --rate"),
        (["flat.npz"], "vertices of a sequence must be (T, V, 3), found (4, 3)"),
        (["poses.npz", "--rate", "30"], "rotations of shape (5, 3) for a body of 23 joints"),
        (["poses.npz", "--rate", "-1"], "rate"),
        (["textshape.npz"], "textshape.npz: shape of the poses must be numbers, found text"),
        (["textturns.npz"], "textturns.npz: rotations of the poses must be numbers, found text"),
        (["textmesh.npz"], "textmesh.npz: vertices of a mesh must be numbers, found text"),
        (["textfaces.npz"], "textfaces.npz: faces of a mesh must be whole numbers, found text"),
        (["halffaces.npz"], "halffaces.npz: faces of a mesh must be whole numbers, found 0.5"),
        (
            ["body.ply", "--body-model", "model.npz"],
            "model.npz: weights of a body must be numbers, found text",
        ),
        (["body.ply", "--landmarks", "marks.yaml"], "landmark 'head_top' must be three numbers [x, y, z]"),
        (
            ["body.ply", "--landmarks", "unknown.yaml"],
            "no landmark 'head_tip' on the body; did you mean 'head_top'?",
        ),
        (["body.ply", "-o", "full"], "full: is a folder that is not empty; give the name of a new one"),
        (["body.ply", "-o", "notes.txt"], "notes.txt: is a file; give the name of a new folder"),
        (["body.ply", "--body-model", "none.npz"], "none.npz: no such file"),
        (["body.ply", "--up", "w"], "'w' is not one of"),
        (["body.ply", "--regressor", "none.npz"], "none.npz: no such file"),
        (["body.ply", "--regressor", "model.npz"], "model.npz: not a regressor: no array 'version'"),
        (["body.ply", "--regressor", "few.npz"], "few.npz: a regressor of 3 inputs; the body has 26 shape"),
        (
            ["body.ply", "--regressor", "betas_regressor_male.pkl"],
            "betas_regressor_male.pkl: OSSO's regressor is for shapes of STAR; give STAR's file",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    bad_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert call("skeleton", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_missing_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert call("skeleton", tmp_path / "body.ply", "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "skeletons need trimesh and libigl: pip install 'kinepose_ocp[surface]'" in error


def test_nothing_is_left_when_writing_fails(made, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("read_surfaces", "make_subject"):
        monkeypatch.setattr(command, name, lambda *_: None)
    monkeypatch.setattr(command, "report", lambda *_: {})
    monkeypatch.setattr(command, "write_subject", full)
    assert call("skeleton", made.parent / "anna_body.ply", "-o", tmp_path / "out") == 2
    assert "out: cannot be written: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
