"""The chain of a subject: lengths, posture, signs and use, against the joint centres it was made of."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp import cli, metrics
from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.kinematics import Kinematics
from kinepose_ocp.surface.joint_geometry import JointGeometry, hung_geometry
from kinepose_ocp.surface.skeleton import open_skeleton
from kinepose_ocp.surface.to_chain import subject_chain
from kinepose_ocp.synthetic import measure, random_motion

EPICONDYLES = ("lateral", "medial")
LIMBS = [
    (f"{first}_{side}", f"{second}_{side}")
    for side in ("left", "right")
    for first, second in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]


@pytest.fixture(scope="module")
def skeleton():
    return open_skeleton()


@pytest.fixture(scope="module")
def geometry(skeleton):
    """A person whose parts are stretched by different amounts."""
    scales = np.random.default_rng(4).uniform(0.92, 1.1, (len(skeleton.parts), 1)) * np.ones(3)
    return hung_geometry(skeleton, scales)


@pytest.fixture(scope="module")
def chain(geometry):
    return subject_chain(geometry)


def at(chain, angles=None):
    """Joint and keypoint positions with some free angles [rad]."""
    q = np.array([dof.rest for dof in chain.free_dofs.values()])
    for name, value in (angles or {}).items():
        q[list(chain.free_dofs).index(name)] = value
    pose = Kinematics(chain)(q)
    joints = dict(zip(chain.joint_names, pose.joint_position[0], strict=True))
    return joints, dict(zip(chain.keypoints, pose.keypoint_position[0], strict=True))


def centre(geometry, joint):
    return geometry.centres[joint.replace("shoulder", "gh")]


def moved(skeleton, geometry, turns):
    """The same person in another pose: every joint turned about its centre, hinges about their axis [rad]."""
    rotation, place = {"pelvis": turns["pelvis"]}, {"pelvis": np.array([1.0, -2.0, 0.5])}
    anchor = {"pelvis": np.zeros(3)}
    centres, axes = {}, {}
    for joint in skeleton.joints:
        old = geometry.centres[joint.name]
        centres[joint.name] = place[joint.parent] + rotation[joint.parent].apply(old - anchor[joint.parent])
        own = turns[joint.name]
        if joint.kind == "hinge":
            own = Rotation.from_rotvec(geometry.axes[joint.name][0] * own.magnitude())
        rotation[joint.child], anchor[joint.child] = rotation[joint.parent] * own, old
        place[joint.child] = centres[joint.name]
        axes[joint.name] = rotation[joint.child].apply(geometry.axes[joint.name])
    frames = {part: turn.as_matrix() @ geometry.frames[part] for part, turn in rotation.items()}
    marks = {}
    for name, position in geometry.landmarks.items():
        part = name.split("/")[0]
        marks[name] = place[part] + rotation[part].apply(position - anchor[part])
    return JointGeometry(centres, axes, frames, marks)


def test_segments_are_as_long_as_between_the_joint_centres(chain, geometry):
    joints, _ = at(chain)
    for first, second in [*LIMBS, ("hip_left", "hip_right")]:
        wanted = np.linalg.norm(centre(geometry, first) - centre(geometry, second))
        assert np.linalg.norm(joints[first] - joints[second]) == pytest.approx(wanted, abs=2e-5)


def test_it_rests_in_the_anatomical_posture(chain, geometry):
    joints, points = at(chain)
    for side in ("left", "right"):
        thigh, arm = (
            joints[f"{b}_{side}"] - joints[f"{a}_{side}"] for a, b in (("hip", "knee"), ("shoulder", "elbow"))
        )
        np.testing.assert_allclose(thigh / np.linalg.norm(thigh), [0, 0, -1], atol=1e-4)
        np.testing.assert_allclose(arm / np.linalg.norm(arm), [0, 0, -1], atol=1e-4)
        shank = joints[f"ankle_{side}"] - joints[f"knee_{side}"]
        assert abs(shank[0]) < 1e-5 and abs(shank[1]) < 0.03 * abs(shank[2])
        forearm = joints[f"wrist_{side}"] - joints[f"elbow_{side}"]
        assert abs(forearm[0]) < 1e-5  # straight as seen from the side
        assert forearm[1] * (1 if side == "left" else -1) > 0  # and carried away from the body
        carried = np.degrees(np.arctan2(abs(forearm[1]), -forearm[2]))
        assert 5 < carried < 18  # the carrying angle of adults
        assert points[f"hand_index_{side}"][0] > points[f"hand_pinky_{side}"][0] + 0.02  # thumb forward
        assert points[f"toe_big_{side}"][0] > points[f"heel_{side}"][0] + 0.15
    np.testing.assert_allclose((joints["hip_left"] + joints["hip_right"]) / 2, joints["pelvis"], atol=1e-4)
    shoulders = (joints["shoulder_left"] + joints["shoulder_right"]) / 2
    np.testing.assert_allclose(points["neck"], shoulders, atol=2e-5)
    np.testing.assert_allclose(points["spine"], (shoulders + points["pelvis"]) / 2, atol=2e-5)


def test_the_pose_of_the_skeleton_does_not_matter(skeleton, geometry, chain):
    generator = np.random.default_rng(7)
    names = ["pelvis", *(joint.name for joint in skeleton.joints)]
    turns = {name: Rotation.from_rotvec(generator.normal(0, 0.4, 3)) for name in names}
    for loose in ("ankle", "mtp", "sc", "ac"):  # what stands between them is told by the parts themselves
        turns |= {f"{loose}_{side}": turns[f"{loose}_left"] for side in ("left", "right")}
    other = subject_chain(moved(skeleton, geometry, turns))
    for ours, theirs in zip(chain.joints, other.joints, strict=True):
        np.testing.assert_allclose(ours.offset, theirs.offset, atol=3e-5, err_msg=ours.name)
        np.testing.assert_allclose(ours.orientation, theirs.orientation, atol=1e-5, err_msg=ours.name)
    for name, site in chain.keypoints.items():
        np.testing.assert_allclose(site.offset, other.keypoints[name].offset, atol=3e-5, err_msg=name)


def test_every_angle_means_what_it_means_in_fullbody(chain):
    """A positive angle turns its segment about nearly the same axis, and in the same sense."""
    generic = kp.load_chain("fullbody")
    assert list(chain.dofs) == list(generic.dofs)
    axes = []
    for each in (chain, generic):
        rest = np.array([dof.rest for dof in each.free_dofs.values()])
        poses = Kinematics(each)(np.vstack([rest, rest + 0.5 * np.eye(len(rest))]))
        for row, (name, dof) in enumerate(each.free_dofs.items(), start=1):
            joint = each.joint_names.index(name.split(".")[0])
            turn = poses.rotation[row, joint] @ poses.rotation[0, joint].T
            step = poses.joint_position[row, joint] - poses.joint_position[0, joint]
            axes.append(step if dof.translates else Rotation.from_matrix(turn).as_rotvec())
    ours, theirs = np.split(np.array(axes) / 0.5, 2)
    cosine = (ours * theirs).sum(1)
    assert np.degrees(np.arccos(np.minimum(cosine, 1))).max() < 15  # the carrying angle
    assert (cosine > 1 - 1e-9).sum() > 30


def test_knee_and_elbow_turn_about_the_epicondyles(geometry, chain):
    """The plane in which a bent knee moves its ankle is that of the bones."""
    for side in ("left", "right"):
        for hinge, end, part, above in (
            ("knee", "ankle", "femur", "hip"),
            ("elbow", "wrist", "humerus", "gh"),
        ):
            spots = [
                at(chain, {f"{hinge}_{side}.flexion": angle})[0][f"{end}_{side}"] for angle in (0, 0.7, 1.4)
            ]
            normal = np.cross(spots[1] - spots[0], spots[2] - spots[0])
            axis = normal / np.linalg.norm(normal)
            lateral, medial = (geometry.landmarks[f"{part}_{side}/epicondyle_{s}"] for s in EPICONDYLES)
            length = geometry.centres[f"{above}_{side}"] - geometry.centres[f"{hinge}_{side}"]
            line = np.cross(lateral - medial, length)  # its size is the sine of the angle between them
            sine = np.linalg.norm(line) / np.linalg.norm(lateral - medial) / np.linalg.norm(length)
            assert abs(axis[2]) == pytest.approx(np.sqrt(1 - sine**2), abs=2e-3)


def test_the_file_gives_the_same_chain(chain):
    again = kp.chain_from_yaml(kp.chain_to_yaml(chain))
    assert again.joint_names == chain.joint_names and again.links == chain.links
    assert dict(again.keypoints) == dict(chain.keypoints)
    for ours, theirs in zip(chain.joints, again.joints, strict=True):
        np.testing.assert_allclose(ours.orientation, theirs.orientation, atol=1e-12)
        assert ours.offset == theirs.offset and len(ours.dofs) == len(theirs.dofs)


def test_the_command_line_solves_with_it_at_once(chain, tmp_path):
    """Angles come back from points without noise."""
    truth = random_motion(chain, frames=8, rate=60, seed=5, straight=False)
    (tmp_path / "subject.yaml").write_text(kp.chain_to_yaml(chain), encoding="utf-8")
    kp.write(measure(truth), tmp_path / "points.csv")
    command = ["solve", tmp_path / "points.csv", "--model", tmp_path / "subject.yaml", "--lengths", "model"]
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in [*command, "-o", tmp_path / "motion.nc"]])
    assert end.value.code == 0
    motion = kp.read_motion(tmp_path / "motion.nc")
    assert metrics.mpjas(motion, truth) < 0.5  # degree
    difference = np.abs(motion.joint_angle - truth.joint_angle).median()
    assert float(difference) < 0.5


def test_what_cannot_be_a_person_is_refused(skeleton, geometry):
    centres = {name: value for name, value in geometry.centres.items() if name != "knee_left"}
    with pytest.raises(
        ModelError, match="no joint 'knee_left' in the joint geometry; did you mean 'ankle_left'"
    ):
        subject_chain(JointGeometry(centres, geometry.axes, geometry.frames))
    axes = dict(geometry.axes) | {"elbow_right": geometry.axes["elbow_right"][[2, 0, 1]]}
    with pytest.raises(
        DataError, match=r"flexion axis of the elbow_right is \d+ degree oblique; possible: up"
    ):
        subject_chain(JointGeometry(geometry.centres, axes, geometry.frames))
    same = dict(geometry.centres) | {"knee_right": geometry.centres["hip_right"]}
    with pytest.raises(DataError, match="two joint centres or axes coincide"):
        subject_chain(JointGeometry(same, geometry.axes, geometry.frames))
    with pytest.raises(DataError, match=r"scales must be positive numbers of shape \(23, 3\)"):
        hung_geometry(skeleton, np.zeros((23, 3)))
    with pytest.raises(DataError, match="centre of 'hip' must be finite numbers"):
        JointGeometry({"hip": np.full(3, np.nan)}, {}, {})


def test_points_without_landmarks_are_scaled(skeleton):
    """Head by the neck, feet by ankle to ball, hands by the forearm: each against fullbody's own segment."""
    large = hung_geometry(skeleton, np.full((len(skeleton.parts), 3), 1.2))
    bare = subject_chain(JointGeometry(large.centres, large.axes, large.frames))
    generic, between = kp.load_chain("fullbody"), {joint.name: joint.centre for joint in skeleton.joints}
    points = at(generic)[1]
    segments = dict.fromkeys(("head", "nose", "eye_left", "ear_right"), ("cervicale", "skull_base"))
    segments |= dict.fromkeys(("heel_left", "toe_big_left", "toe_small_left"), ("ankle_left", "foot_left"))
    segments |= dict.fromkeys(
        ("hand_left", "hand_thumb_left", "hand_pinky_left"), ("elbow_left", "wrist_left")
    )
    same = {"cervicale": "c7t1", "skull_base": "c0", "foot_left": "mtp_left"}
    for point, ends in segments.items():
        first, second = (between[same.get(end, end)] for end in ends)
        wanted = 1.2 * np.linalg.norm(first - second) / np.linalg.norm(points[ends[0]] - points[ends[1]])
        offset = np.array(generic.keypoints[point].offset)
        np.testing.assert_allclose(bare.keypoints[point].offset, wanted * offset, atol=2e-5, err_msg=point)


def test_points_without_landmarks_follow_those_beside_them(geometry, chain):
    """Where the head's top, the big toe or the knuckles are known, their neighbours stretch as they do."""
    generic = kp.load_chain("fullbody")
    for point, like in (
        ("ear_left", "head"),
        ("toe_small_left", "toe_big_left"),
        ("hand_thumb_left", "hand_left"),
    ):
        own, usual = (np.linalg.norm(each.keypoints[like].offset) for each in (chain, generic))
        offset = np.array(generic.keypoints[point].offset) * own / usual
        np.testing.assert_allclose(chain.keypoints[point].offset, offset, atol=2e-5)
