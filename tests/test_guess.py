"""Initial guesses: any chain, any orientation of the subject."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp import metrics
from kinepose_ocp.anatomy import Anatomy, hidden_dofs
from kinepose_ocp.dataset import pose_dataset
from kinepose_ocp.guess import ROUTES, bridge_gaps, guess, guesses, wahba
from kinepose_ocp.synthetic import measure, random_motion


def test_wahba_against_scipy():
    generator = np.random.default_rng(0)
    model, weight = generator.normal(size=(5, 4, 3)), generator.random(4)
    turned = Rotation.random(5, random_state=1)
    measured = np.einsum("tij,tmj->tmi", turned.as_matrix(), model) + generator.normal(0, 0.1, model.shape)
    found = wahba(model, measured, weight)
    for t in range(5):
        peer = Rotation.align_vectors(measured[t], model[t], weights=weight)[0]
        assert np.allclose(found[t], peer.as_matrix(), atol=1e-9)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("turn", [None, [90, 0, 0], [0, 180, 0], [0, 0, 180], [45, -120, 30]])
def test_start_is_near_the_truth_however_the_subject_lies(imvip22, short_motion, route, turn):
    truth, keypoints = short_motion
    names = [str(name) for name in keypoints.keypoint.values]
    world = Rotation.identity() if turn is None else Rotation.from_euler("xyz", turn, degrees=True)
    position = world.apply(keypoints.position.values.reshape(-1, 3)).reshape(keypoints.position.shape)
    q = guess(Anatomy(imvip22, names), position, route)
    found = pose_dataset(imvip22, keypoints.time.values, q)
    local = metrics.angular_error(found.assign_attrs(chain_yaml=kp.chain_to_yaml(imvip22)), truth, "local")
    limits = {"analytic": 15, "table": 25}
    for joint in ("hip_right", "knee_left", "shoulder_left", "elbow_right"):
        assert float(local.sel(joint=joint).median()) < limits[route], joint


def test_points_nearly_on_one_line_do_not_turn_the_root_by_their_noise(imvip22):
    """A pelvis 7 mm off the line of the hips, with 10 mm of noise, does not show how it is tilted."""
    loose = imvip22.with_rom({f"spine_lower.{axis}": (-60, 60) for axis in "xyz"})
    truth = random_motion(loose, frames=60, rate=60, seed=3, straight=False)
    keypoints = measure(truth, noise=0.010, seed=1).drop_sel(keypoint="spine_lower")
    joints = [
        replace(joint, offset=(0.007, *joint.offset[1:])) if joint.name.startswith("hip") else joint
        for joint in loose.joints
    ]
    bent = replace(loose, joints=tuple(joints))
    names = [str(name) for name in keypoints.keypoint.values]
    for route in ROUTES:
        q = guess(Anatomy(bent, names), keypoints.position.values, route)
        found = pose_dataset(bent, keypoints.time.values, q).assign_attrs(chain_yaml=kp.chain_to_yaml(bent))
        assert float(metrics.angular_error(found, truth, "global").sel(joint="pelvis").max()) < 60, route


def test_limbs_and_hinges_are_found_from_the_tree(imvip22):
    names = [
        name for name in imvip22.keypoints if name not in ("spine_lower", "clavicle_left", "clavicle_right")
    ]
    anatomy = Anatomy(imvip22, names)
    limb = anatomy.limb(imvip22.joint_names.index("hip_left"))
    assert [imvip22.joint_names[joint] for joint in limb] == ["hip_left", "knee_left"]
    hinge = anatomy.hinges(imvip22.joint_names.index("shoulder_right"))[0]
    assert imvip22.joint_names[hinge.joint] == "elbow_right"
    assert names[hinge.keypoint] == "wrist_right"


def test_hidden_dofs():
    chain = kp.load_chain("fullbody")
    legs = ["pelvis", "hip_right", "hip_left", "knee_right", "knee_left", "ankle_right", "ankle_left"]
    hidden = hidden_dofs(chain, legs)
    assert "ankle_left.dorsiflexion" in hidden and "shoulder_left.flexion" in hidden
    assert not {"hip_left.rotation", "knee_right.flexion", "pelvis.x", "pelvis.tilt"} & set(hidden)


def test_gaps_are_bridged():
    position = np.arange(12.0).reshape(4, 1, 3)
    gap = position.copy()
    gap[1:3] = np.nan
    assert np.allclose(bridge_gaps(gap), position)
    never = np.concatenate([position, np.full((4, 1, 3), np.nan)], axis=1)
    assert np.isfinite(bridge_gaps(never)).all()


def test_a_limb_that_is_not_seen_for_a_while_moves_straight_on(imvip22, short_motion):
    """Its angles are bridged, not its points: the segment keeps its length on the way."""
    keypoints = short_motion[1]
    measured = [str(name) for name in keypoints.keypoint.values]
    position = keypoints.position.transpose("time", "keypoint", "space").values.copy()
    gone = slice(5, 11)
    position[gone, measured.index("wrist_right")] = np.nan
    anatomy = Anatomy(imvip22, measured)
    columns = [
        i for i, name in enumerate(imvip22.free_dofs) if name.startswith(("shoulder_right", "elbow_right"))
    ]
    for route in ROUTES:
        angles = guess(anatomy, position, route)[:, columns]
        expected = np.linspace(angles[gone.start - 1], angles[gone.stop], gone.stop - gone.start + 2)
        assert np.allclose(angles[gone.start - 1 : gone.stop + 1], expected, atol=1e-9)
    assert len(guesses(anatomy, position)) == 2 * len(guesses(anatomy, bridge_gaps(position))) == 4


def test_works_on_fullbody():
    chain = kp.load_chain("fullbody")
    truth = random_motion(chain, frames=30, rate=60, seed=2, straight=False)
    motion = kp.build_problem(
        chain, measure(truth), [kp.KeypointPosition(0.001), kp.AngularVelocity(10.0)]
    ).solve()
    assert metrics.mpjas(motion, truth, "global") < 3
