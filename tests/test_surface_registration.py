"""Registration on bodies of known shape and pose, and on what is no body."""

import igl
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from surface_motion import mirror_image

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface import command, registration, surfaces
from kinepose_ocp.surface.body import example_people, open_body
from kinepose_ocp.surface.body_fit import BodyState
from kinepose_ocp.surface.closest_point_search import Candidate
from kinepose_ocp.surface.correspondence import Surface
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.mesh_soundness import missing_share, rims_of, sound_mesh
from kinepose_ocp.surface.orientation import MeshFrame, axis_rotations, found_unit, nearest_axes
from kinepose_ocp.surface.registration import Registrar
from kinepose_ocp.surface.registration_checks import Gauge, measured
from kinepose_ocp.surface.registration_starts import Start
from kinepose_ocp.surface.subject import make_subject

Y_UP = np.array(
    [[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]
)  # from world axes to those of a mesh that faces along its z


@pytest.fixture(scope="module")
def registrar():
    return Registrar(open_body())


@pytest.fixture(scope="module")
def walker():
    """A body of random shape in mid-stride, turned by 40 deg in its world."""
    body, random = open_body(), np.random.default_rng(4)
    rotations = random.normal(size=(len(body.parents), 3)) * 0.05
    for joint, turn in {"upperleg_left": -0.5, "upperleg_right": 0.35, "lowerleg_right": 0.5}.items():
        rotations[body.joint_index(joint), 1] += turn
    for side, sign in (("left", -1), ("right", 1)):
        rotations[body.joint_index(f"upperarm_{side}"), 0] += 0.5 * sign
    rotations[0] = (0, 0, 0.7)
    return body.posed(random.normal(size=body.shape_count), rotations, np.array([0.3, -1.0, 0.9]))


def boxes(*sizes_at):
    """A closed mesh of finely divided boxes, each (size, centre) [m]."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    box = np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))])
    vertices = np.vstack([corners * size + centre for size, centre in sizes_at])
    return Mesh(*igl.upsample(vertices, np.vstack([box + 8 * n for n in range(len(sizes_at))]), 3))


CHAIR = boxes(
    ((0.45, 0.45, 0.05), (0, 0, 0.45)),
    ((0.05, 0.45, 0.6), (-0.2, 0, 0.8)),
    *(((0.05, 0.05, 0.4), (x, y, 0.2)) for x in (-0.2, 0.2) for y in (-0.2, 0.2)),
)


# ---- unit and axes -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("factor", "unit"), [(1, "metres"), (100, "centimetres"), (1000, "millimetres")])
def test_the_unit_is_found_from_the_area(factor, unit):
    body = open_body()
    assert found_unit(Mesh(factor * body.template, body.faces)) == unit


def test_there_are_24_exchanges_of_axes_and_the_nearest_is_found():
    every = axis_rotations()
    assert len(np.unique(every, axis=0)) == 24
    tilt = Rotation.from_rotvec([0.3, -0.2, 0.25]).as_matrix()
    for matrix in every:
        assert np.array_equal(nearest_axes(tilt @ matrix), matrix)


def test_a_frame_goes_there_and_back():
    frame = MeshFrame("millimetres", Y_UP.T)
    assert np.allclose(frame.to_world([0, 1700, 0]), [0, 0, 1.7]) and frame.up == "+y"
    assert np.allclose(frame.to_mesh(frame.to_world([3.0, 4, 5])), [3, 4, 5])
    with pytest.raises(
        DataError, match=r"^no unit 'inches' of a mesh; possible: metres, centimetres, millimetres$"
    ):
        MeshFrame("inches", np.eye(3))


# ---- fits ----------------------------------------------------------------------------------------------
def test_a_mesh_of_the_same_topology_is_fitted_exactly(registrar, walker):
    body = registrar.body
    found = registrar.register(Mesh(1000 * walker.vertices @ Y_UP.T, body.faces))
    assert found.frame.unit == "millimetres" and found.frame.up == "+y"
    assert found.residual.mean_mm < 0.1 and found.start == "vertex by vertex"
    joints = found.frame.to_mesh(found.posed.joint_positions)
    assert np.abs(joints - 1000 * walker.joint_positions @ Y_UP.T).max() < 0.2  # mm
    again = body.posed(found.shape, found.rotations, found.translation)
    assert np.allclose(again.vertices, found.posed.vertices)


def test_a_coarse_noisy_mesh_in_other_unit_and_axes_is_fitted(registrar, walker):
    body, random = registrar.body, np.random.default_rng(0)
    coarse, faces, _, _ = igl.decimate(walker.vertices, body.faces, 5000)
    noisy = coarse + random.normal(size=coarse.shape) * 0.002
    mesh = Mesh(100 * noisy @ Y_UP.T, faces)
    found = registrar.register(mesh)
    assert (found.frame.unit, found.frame.up) == ("centimetres", "+y")
    true = measured(body, walker, Surface(Mesh(noisy, faces)))  # noise and coarseness leave it as far off
    assert found.residual.mean_mm < true.mean_mm
    assert found.residual.mesh_to_body_mean_mm < 1.05 * true.mesh_to_body_mean_mm
    joints = found.frame.to_mesh(found.posed.joint_positions) / 100
    off = np.linalg.norm(joints - walker.joint_positions @ Y_UP.T, axis=1)
    assert off.mean() < 0.003 and off.max() < 0.012  # m
    shape = registrar.register(Mesh(walker.vertices, body.faces)).shape  # the true one: vertex by vertex
    case = registrar.case(mesh, sound_mesh(mesh, registrar.bars).mesh, found.frame)
    state = BodyState(found.shape, found.rotations, found.translation)
    held = registrar.reposed(case, Candidate(Start("", found.rotations, np.eye(3)), state, 0.0), shape)
    assert np.array_equal(held.shape, shape) and held.residual.mean_mm < 3
    again = held.frame.to_mesh(held.posed.joint_positions) / 100 - walker.joint_positions @ Y_UP.T
    assert np.linalg.norm(again, axis=1).mean() < 0.8 * off.mean()


def test_fewer_points_measure_the_same_distances(registrar):
    body = registrar.body
    beside, mesh = body.posed(np.array([0.5])), body.mesh(body.posed())
    full, coarse = (measured(body, beside, Surface(mesh), gauge) for gauge in (None, Gauge.coarse(body)))
    assert coarse.mean_mm == pytest.approx(full.mean_mm, rel=0.05) and coarse.most_mm > 0
    assert coarse.part_mm.keys() == full.part_mm.keys()
    for part, distance in full.part_mm.items():
        assert coarse.part_mm[part] == pytest.approx(distance, rel=0.2, abs=0.2)


def test_vertices_in_another_order_are_fitted_as_exactly(registrar, walker):
    """By closest points alone, and so the shape and the twist of the forearms, which skin hardly tells."""
    body = registrar.body
    order = np.random.default_rng(3).permutation(len(body.template))
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order))
    found = registrar.register(Mesh(walker.vertices[order], numbers[body.faces]))
    assert found.start != "vertex by vertex"
    off = np.linalg.norm(found.posed.joint_positions - walker.joint_positions, axis=1)
    assert off.max() < 0.0002  # m
    turned = np.einsum("kij,kil->kjl", found.posed.joint_rotations, walker.joint_rotations)
    assert np.degrees(Rotation.from_matrix(turned).magnitude()).max() < 1


def test_a_mirrored_mesh_gives_the_mirrored_skeleton():
    body, skeleton = command.default_body(), command.default_skeleton()
    stride = np.zeros((len(body.parents), 3))
    for joint, turn in {"upperleg_left": -0.5, "upperleg_right": 0.3, "lowerleg_right": 0.6}.items():
        stride[body.joint_index(joint), 1] = turn
    vertices = body.posed(example_people()["boy, 10 years, heavy"], stride).vertices
    coarse, faces = igl.decimate(vertices, body.faces, 6000)[:2]
    meshes = Mesh(coarse, faces), Mesh(coarse * [1, -1, 1], faces[:, ::-1])
    one, other = (make_subject(surfaces.of_mesh(mesh, body), skeleton).poses[0] for mesh in meshes)
    other = mirror_image(other)
    for part in skeleton.parts:
        apart = one.part_mesh(part).vertices - other.part_mesh(part).vertices
        assert np.linalg.norm(apart, axis=1).max() < 0.0005, part  # m


def test_a_child_of_ten_years_is_fitted(registrar):
    body = registrar.body
    child = body.posed(example_people()["girl, 10 years, light"])
    coarse, faces, _, _ = igl.decimate(child.vertices, body.faces, 5000)
    found = registrar.register(Mesh(100 * coarse, faces))
    assert found.frame.unit == "centimetres" and found.residual.mean_mm < 2
    off = np.linalg.norm(found.posed.joint_positions - child.joint_positions, axis=1)
    assert off.mean() < 0.005 and off.max() < 0.015  # m


def test_landmarks_lead_to_a_pose_that_is_not_found_without(registrar, monkeypatch):
    body = registrar.body
    rotations = np.zeros((len(body.parents), 3))
    turns = {
        "upperleg_left": (0, -1.5, 0),
        "upperleg_right": (-0.5, -0.6, 0.6),
        "lowerleg_right": (0, 2.0, 0),
    }
    turns |= {"upperarm_left": (1.6, 0, 0), "upperarm_right": (0.5, 0.7, 0), "spine02": (0.2, 0, 0.3)}
    for joint, turn in turns.items():
        rotations[body.joint_index(joint)] = turn
    rotations[0] = (1.6, 0.8, -0.5)  # lying askew: no axis of the mesh points up
    posed = body.posed(rotations=rotations)
    coarse, faces, _, _ = igl.decimate(posed.vertices, body.faces, 5000)
    monkeypatch.setattr("kinepose_ocp.surface.closest_point_search.TRIED", 1)
    monkeypatch.setattr(registration, "ATTEMPTS", 1)
    with pytest.raises(DataError, match="does not fit the mesh"):
        registrar.register(Mesh(coarse, faces))
    pairs = ("acromion", "dactylion", "asis", "patella", "heel")
    names = [f"{name}_{side}" for name in pairs for side in ("left", "right")]
    marks = {name: posed.vertices[body.landmark(name)] for name in names}
    found = registrar.register(Mesh(coarse, faces), marks)
    assert found.residual.mean_mm < 2
    gaps = found.frame.to_mesh(found.posed.joint_positions) - posed.joint_positions
    assert np.linalg.norm(gaps, axis=1).max() < 0.02


# ---- refusals ------------------------------------------------------------------------------------------
def test_a_chair_is_refused_by_its_distances(registrar, monkeypatch):
    monkeypatch.setattr("kinepose_ocp.surface.closest_point_search.TRIED", 1)
    line = (
        r"^the body does not fit the mesh: mean distance [\d.]+ mm from body to mesh and [\d.]+ mm back "
        r"\(at most 6 mm\), 95% within [\d.]+ mm \(at most 15 mm\)$"
    )
    with pytest.raises(DataError, match=line):
        registrar.register(CHAIR)


def test_a_body_without_an_arm_is_refused(registrar, walker, monkeypatch):
    monkeypatch.setattr("kinepose_ocp.surface.closest_point_search.TRIED", 1)
    body = registrar.body
    kept = ~np.isin(body.vertex_parts, ["humerus_left", "forearm_left", "hand_left"])
    rest = Mesh(walker.vertices, body.faces[kept[body.faces].all(1)])
    with pytest.raises(
        DataError, match=r"^(the skin of )?the body's \w+_left (does not fit|faces as) the mesh"
    ):
        registrar.register(rest)


def sheet():
    u = np.arange(30)
    first = (u[:-1, None] * 30 + u[:-1]).ravel()
    faces = np.vstack([np.c_[first, first + 1, first + 31], np.c_[first, first + 31, first + 30]])
    x, y = np.divmod(np.arange(900), 30)
    return Mesh(np.c_[x, 1.7 * y, np.sin(x / 5)] / 30, faces)


def with_holes(mesh):
    kept = np.random.default_rng(0).uniform(size=len(mesh.faces)) > 0.3
    return Mesh(mesh.vertices, mesh.faces[kept])


def arm(body):
    """The arm alone, closed at the shoulder."""
    kept = np.isin(body.vertex_parts, ["humerus_left", "forearm_left", "hand_left"])
    faces = body.faces[kept[body.faces].all(1)]
    (rim,) = (loop for loop in rims_of(Mesh(body.template, faces)) if len(loop) > 3)
    cap = np.c_[np.roll(rim, -1), rim, np.full(len(rim), len(body.template))]
    return Mesh(np.vstack([body.template, body.template[rim].mean(0)]), np.vstack([faces, cap]))


def scaled(body, factor):
    return Mesh(factor * body.template, body.faces)


def soup():
    random = np.random.default_rng(0)
    return Mesh(random.normal(size=(300, 3)), random.integers(300, size=(9000, 3)))


REFUSED = {
    "sheet": (
        lambda body: sheet(),
        "the mesh is open: holes take 49.9% of the area that its surface would have if closed; "
        "at most 12% may be missing",
    ),
    "doll": (
        lambda body: scaled(body, 0.3),
        "the mesh is of no body's size: its surface has 0.148 m2 if in metres, 1.48e-05 m2 if in "
        "centimetres, 1.48e-07 m2 if in millimetres; a body has 0.45 to 4 m2",
    ),
    "empty": (
        lambda body: Mesh(np.zeros((0, 3)), np.zeros((0, 3))),
        "the mesh has 0 faces with an area; no body has so few",
    ),
    "soup": (
        lambda body: soup(),
        "the mesh is no surface: 5.3% of its edges have more than two faces; at most 1% may",
    ),
    "arm": (
        arm,
        "the mesh is of no body's size: its surface has 0.186 m2 if in metres, 1.86e-05 m2 if in "
        "centimetres, 1.86e-07 m2 if in millimetres; a body has 0.45 to 4 m2",
    ),
    "holes": (
        lambda body: with_holes(scaled(body, 1)),
        "the mesh is open: holes take 30.5% of the area that its surface would have if closed; "
        "at most 12% may be missing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_body_is_refused_in_one_line(registrar, case):
    make, line = REFUSED[case]
    with pytest.raises(DataError) as error:
        registrar.register(make(registrar.body))
    assert str(error.value) == line


def test_an_unknown_landmark_is_refused(registrar, walker):
    mesh = registrar.body.mesh(walker)
    with pytest.raises(DataError, match=r"^no landmark 'heel' on the body; did you mean 'heel_left'"):
        registrar.register(mesh, {"heel": np.zeros(3)})
    with pytest.raises(DataError, match=r"^landmark 'heel_left' must be three finite numbers, found"):
        registrar.register(mesh, {"heel_left": np.array([0, 0, np.nan])})


# ---- meshes as they come -------------------------------------------------------------------------------
def test_loose_triangles_are_welded_and_turned_outward():
    body = open_body()
    loose = Mesh(body.template[body.faces[:, ::-1]].reshape(-1, 3), np.arange(body.faces.size).reshape(-1, 3))
    found = sound_mesh(loose, registration.Bars())
    sound = found.mesh
    assert len(sound.vertices) == len(body.template) and sound.is_closed()
    normals = sound.face_normals()
    assert np.einsum("fi,fi->", normals, sound.vertices[sound.faces[:, 0]]) > 0
    later = loose.with_vertices(loose.vertices * [1, 2, 3])
    anew, alike = sound_mesh(later, registration.Bars()).mesh, found.of(later, registration.Bars())
    assert alike.connectivity is sound.connectivity and len(anew.vertices) == len(alike.vertices)
    np.testing.assert_array_equal(alike.vertices[alike.faces], later.vertices[later.faces[:, ::-1]])
    cut = Mesh(body.template, body.faces[:-4000])
    with pytest.raises(DataError, match="the mesh is open"):
        found.of(cut, registration.Bars())


def test_the_missing_share_is_that_of_the_hole():
    grid = sheet()
    assert missing_share(open_body().mesh(open_body().posed())) == 0
    flat = Mesh(grid.vertices * [1, 1, 0], grid.faces)
    kept = np.ones(len(flat.faces), bool)
    kept[[100, 101, 100 + 841, 500]] = False
    area = np.linalg.norm(flat.face_normals(), axis=1)
    outline = area.sum()  # the rim of a flat sheet spans its own area
    wanted = (area[~kept].sum() + outline) / (area[~kept].sum() + outline + area[kept].sum())
    assert missing_share(Mesh(flat.vertices, flat.faces[kept])) == pytest.approx(wanted, rel=1e-9)
