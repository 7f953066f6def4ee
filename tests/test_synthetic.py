"""Motions with known truth: as scipy has them, inside the ranges, straight where they say so."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain_file import chain_from_yaml, load_chain
from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.io import read_keypoints, read_motion
from kinepose_ocp.keypoints import check_keypoints
from kinepose_ocp.synthetic import limb_hinges, mark_straight, measure, random_motion, true_motion
from kinepose_ocp.walk_throw import walk_throw

REPOSITORY = Path(__file__).parent.parent

# a limb of another shape: y up, the hinge bent at rest and about an axis that is no coordinate axis; the
# twist below it, and a joint that only twists below the ball, are no hinges
ARM = """
schema: 1
name: arm
source: made for this test
frame: {forward: z, left: x, up: y}
joints:
  - name: trunk
    parent: null
    dofs: [{name: turn, rotation: [0, 1, 0]}, {name: along, translation: [0, 0, 1], rom: [-.inf, 0.3]}]
  - name: ball
    parent: trunk
    offset: [0.2, 0.4, 0]
    dofs:
      - {name: a, rotation: [1, 0, 0], rom: [-60, 60]}
      - {name: b, rotation: [0, 1, 0], rom: [-60, 60]}
      - {name: c, rotation: [0, 0, 1], rom: [-60, 60]}
  - name: hinge
    parent: ball
    offset: [0, -0.3, 0]
    orientation: [0.93969262, 0.20521209, 0, 0.27361612]
    dofs: [{name: bend, rotation: [0.6, 0, 0.8], rom: [ROM]}]
  - {name: twist, parent: hinge, dofs: [{name: roll, rotation: [0, 1, 0], rom: [-80, 80]}]}
  - {name: other, parent: ball, offset: [0, -0.1, 0], dofs: [{name: roll, rotation: [0, 1, 0]}]}
  - {name: third, parent: ball, dofs: [{name: locked, rotation: [1, 0, 0], rom: [0, 9], locked: true}]}
keypoints:
  trunk: {joint: trunk}
  ball: {joint: ball}
  hinge: {joint: hinge}
  hand: {joint: twist, offset: [0, -0.25, 0]}
  other: {joint: other, offset: [0, -0.2, 0]}
"""


def arm(rom="-90, 90"):
    return chain_from_yaml(ARM.replace("ROM", rom))


def refused(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def placed(chain, motion):
    """Orientation and position of every joint by scipy, from the joint angles in degrees."""
    frames = {}
    for joint in chain.joints:
        w, *xyz = joint.orientation
        turn, point = frames.get(joint.parent, (Rotation.identity(motion.sizes["time"]), 0.0))
        point = point + turn.apply(joint.offset)
        turn = turn * Rotation.from_quat([*xyz, w])
        for dof in joint.dofs:
            name = f"{joint.name}.{dof.name}"
            if dof.translates:
                way = motion["joint_translation"].sel(translation=name).values
                point = point + turn.apply(np.outer(way, dof.axis))
            else:
                angle = np.radians(motion["joint_angle"].sel(dof=name).values)
                turn = turn * Rotation.from_rotvec(np.outer(angle, dof.axis))
        frames[joint.name] = turn, point
    return frames


# ---- truth
@pytest.mark.parametrize(
    "chain", [load_chain("fullbody"), load_chain("imvip22"), arm()], ids=lambda c: c.name
)
def test_everything_agrees_with_scipy(chain):
    motion = random_motion(chain, 40, 50, seed=3)
    for name, (turn, point) in placed(chain, motion).items():
        np.testing.assert_allclose(motion["joint_position"].sel(joint=name), point, atol=1e-12)
        quaternion = motion["orientation_global"].sel(joint=name).values
        error = turn.inv() * Rotation.from_quat(quaternion[:, [1, 2, 3, 0]])
        assert error.magnitude().max() < 1e-7
    for name, site in chain.keypoints.items():
        turn, point = placed(chain, motion)[site.joint]
        found = motion["keypoint_position"].sel(keypoint=name)
        np.testing.assert_allclose(found, point + turn.apply(site.offset), atol=1e-12)


def test_velocities_are_those_of_the_motion():
    time = np.arange(200) / 1000
    chain = load_chain("fullbody")
    bend = 40 * np.sin(3 * time)
    motion = true_motion(chain, {"knee_right.flexion": bend, "hip_right.rotation": 10 * time}, 1000)
    rate = motion["joint_velocity"].sel(dof="knee_right.flexion")
    np.testing.assert_allclose(rate[1:-1], 120 * np.cos(3 * time)[1:-1], rtol=1e-4)
    turn = Rotation.from_quat(motion["orientation_global"].sel(joint="knee_right").values[:, [1, 2, 3, 0]])
    turning = np.degrees((turn[2:] * turn[:-2].inv()).as_rotvec()) * 500
    np.testing.assert_allclose(motion["angular_velocity"].sel(joint="knee_right")[1:-1], turning, atol=1e-2)


def test_angles_by_name_or_as_array_in_degrees():
    chain = arm().with_locked({"third.locked": 0})
    named = true_motion(chain, {"hinge.bend": [10, 20], "trunk.along": 0.1}, 50)
    columns = {"hinge.bend": [10, 20], "trunk.along": [0.1, 0.1]}
    array = np.transpose([columns.get(name, [0, 0]) for name in chain.free_dofs])
    xr.testing.assert_identical(named, true_motion(chain, array, 50))
    np.testing.assert_allclose(named["joint_angle"].sel(dof="hinge.bend"), [10, 20])
    np.testing.assert_allclose(named["root_position"], [[0, 0, 0.1]] * 2)
    np.testing.assert_allclose(named["time"], [0, 0.02])
    assert true_motion(chain, {}, 50).sizes["time"] == 1
    assert list(chain_from_yaml(named.attrs["chain_yaml"]).free_dofs) == list(chain.free_dofs)


def test_unusable_angles_are_refused():
    chain = arm()
    with refused(ModelError, "no degree of freedom 'hinge.bent' in chain 'arm'; did you mean 'hinge.bend'?"):
        true_motion(chain, {"hinge.bent": [0]}, 50)
    with refused(DataError, "'third.locked' is locked in chain 'arm'; unlock it to move it"):
        true_motion(chain, {"third.locked": [0]}, 50)
    with refused(DataError, "angles must have the same number of frames; found 'ball.a' (2,), 'ball.b' (3,)"):
        true_motion(chain, {"ball.a": [1, 2], "ball.b": [1, 2, 3]}, 50)
    with refused(
        DataError,
        "angles have shape (5, 3); chain 'arm' needs (frames, 8), a column for each free degree of freedom",
    ):
        true_motion(chain, np.zeros((5, 3)), 50)
    with refused(DataError, "angle of 'ball.b' in frame 2 is not finite"):
        true_motion(chain, {"ball.b": [1, np.nan]}, 50)
    with refused(DataError, "motion: a sampling rate of 0 Hz is not possible; it must be above 0"):
        true_motion(chain, {}, 0)


# ---- straight limbs
@pytest.mark.parametrize("name", ["fullbody", "imvip22"])
def test_knees_and_elbows_are_the_limb_hinges(name):
    hinges = limb_hinges(load_chain(name))
    assert sorted(hinge.joint for hinge in hinges) == ["elbow_left", "elbow_right", "knee_left", "knee_right"]
    assert max(abs(hinge.straight) for hinge in hinges) < 1e-6


def bend(chain, angle):
    """Angle [degrees] between the segments above and below the hinge of the arm."""
    points = true_motion(chain, {"hinge.bend": angle}, 50)["keypoint_position"]
    points = points.sel(keypoint=["ball", "hinge", "hand"]).values
    above, below = np.moveaxis(np.diff(points, axis=1), 1, 0)
    cosine = (above * below).sum(-1) / np.linalg.norm(above, axis=-1) / np.linalg.norm(below, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("rom", ["-90, 90", "5, 90", "-90, -60"])
def test_straightest_is_found_for_any_axis_rest_and_range(rom):
    chain = arm(rom)
    (hinge,) = limb_hinges(chain)
    assert (hinge.joint, hinge.dof) == ("hinge", "hinge.bend")
    grid = np.linspace(*map(float, rom.split(",")), 2001)
    assert bend(chain, [hinge.straight]) <= bend(chain, grid).min() + 1e-4
    assert abs(hinge.straight - grid[bend(chain, grid).argmin()]) < 0.1


def test_straight_is_marked_within_an_angle():
    chain = load_chain("fullbody")
    motion = mark_straight(chain, true_motion(chain, {"knee_right.flexion": [-6, -5, 0, 5, 6]}, 50), 5.001)
    assert motion["straight"].sel(joint="knee_right").values.tolist() == [False, True, True, True, False]
    assert motion["straight"].sel(joint="elbow_left").all()
    assert not motion["straight"].sel(joint="hip_right").any()


# ---- random motions
@pytest.mark.parametrize(
    "chain", [load_chain("fullbody"), load_chain("imvip22"), arm()], ids=lambda c: c.name
)
def test_random_motion_is_inside_the_ranges_seeded_and_straight_when_it_says(chain):
    motion = random_motion(chain, 1200, 60, seed=1)
    xr.testing.assert_identical(motion, random_motion(chain, 1200, 60, seed=1))
    assert not motion.equals(random_motion(chain, 1200, 60, seed=2))
    angle = motion["joint_angle"]
    assert (angle >= motion["rom_lower"] - 1e-9).all() and (angle <= motion["rom_upper"] + 1e-9).all()
    unbounded = angle.values[:, np.isinf(motion["rom_upper"].values)]
    assert np.abs(unbounded).max() <= 45 and (np.ptp(unbounded, axis=0) > 30).all()
    for hinge in limb_hinges(chain):
        straight = motion["straight"].sel(joint=hinge.joint).values
        held = angle.sel(dof=hinge.dof).values[straight]
        np.testing.assert_allclose(held, hinge.straight, atol=1e-9)
        assert 0.15 < straight.mean() < 0.65
        edges = np.flatnonzero(np.diff(straight.astype(int)))
        starts = edges[0 if not straight[0] else 1 :][::2]
        lengths = [(straight[start + 1 :].argmin() or len(straight)) / 60 for start in starts[:-1]]
        assert min(lengths) >= 0.2 and max(lengths) <= 2.05
    loose = random_motion(chain, 1200, 60, seed=1, straight=False)
    assert not loose["straight"].any()


def test_random_motion_does_not_jump_at_any_rate():
    chain = load_chain("fullbody")
    slow, fast = (random_motion(chain, 2 * rate, rate, seed=5) for rate in (50, 500))
    np.testing.assert_allclose(slow["joint_angle"], fast["joint_angle"][::10], atol=1e-9)
    assert np.abs(fast["joint_velocity"]).max() < 3000  # degree/s
    assert random_motion(chain, 1, 50, seed=0).sizes["time"] == 1
    with refused(DataError, "a motion of 0 frames is not possible; possible: 1 or more"):
        random_motion(chain, 0, 50, seed=0)


# ---- walking and throwing
@pytest.fixture(scope="module")
def throw():
    return walk_throw(load_chain("fullbody"))


def test_the_walk_is_a_walk(throw):
    assert throw.sizes["time"] == 240
    walk = throw.sel(time=slice(0, 2.1))
    forward = walk["root_position"].sel(space="x")
    assert 1.1 < np.polyfit(walk["time"], forward, 1)[0] < 1.4  # m/s
    assert np.ptp(walk["root_position"].sel(space="z").values) < 0.06
    for side in ("right", "left"):
        knee = walk["joint_angle"].sel(dof=f"knee_{side}.flexion")
        assert 0 < knee.min() < 6 and 55 < knee.max() < 70
        assert throw["straight"].sel(joint=f"knee_{side}").sum() > 20


def test_the_throw_is_a_throw(throw):
    elbow = throw["joint_angle"].sel(dof="elbow_right.flexion")
    turn = throw["joint_angle"].sel(dof="shoulder_right.rotation")
    late = throw["time"] > 2.9
    assert -170 < turn.min() < -150
    straightening = throw["joint_velocity"].sel(dof="elbow_right.flexion").min()
    assert -2500 < straightening < -1500
    hand = throw["keypoint_position"].sel(keypoint="hand_right")
    speed = np.linalg.norm(np.gradient(hand, throw["time"], axis=0), axis=1)
    release = int(speed.argmax())
    assert late[release] and speed[release] > 8  # m/s
    assert elbow.where(late).min() < 10
    assert throw["straight"].sel(joint="elbow_right").sum() >= 5
    assert throw["straight"].sel(joint="elbow_left").sum() >= 10
    shoulder = throw["joint_angle"].sel(dof="shoulder_right.abduction")[release]
    assert 80 < shoulder < 100


def test_the_body_stays_in_its_ranges_and_on_the_ground(throw):
    angle = throw["joint_angle"]
    assert (angle > throw["rom_lower"]).all() and (angle < throw["rom_upper"]).all()
    soles = throw["keypoint_position"].sel(keypoint=["heel_right", "foot_right", "heel_left", "foot_left"])
    lowest = soles.sel(space="z").min("keypoint")
    assert np.abs(lowest).max() < 0.02
    down = soles.sel(space="z").argmin("keypoint")
    speed = np.linalg.norm(np.gradient(soles, throw["time"], axis=0)[..., :2], axis=-1)
    assert np.median(speed[np.arange(240), down]) < 0.1  # m/s


def test_a_chain_without_the_joints_cannot_throw():
    with refused(ModelError, "no keypoint 'heel_right' in chain 'imvip22'; did you mean 'knee_right'?"):
        walk_throw(load_chain("imvip22"))


# ---- measurements
@pytest.fixture(scope="module")
def still():
    """A body at rest for 100 s."""
    return true_motion(load_chain("fullbody"), {"neck.flexion": np.zeros(5000)}, 50)


def test_perfect_measurement_is_the_truth(throw):
    keypoints = measure(throw, ["wrist_left", "pelvis"])
    xr.testing.assert_identical(keypoints, check_keypoints(keypoints))
    truth = throw["keypoint_position"].sel(keypoint=["wrist_left", "pelvis"])
    np.testing.assert_array_equal(keypoints["position"], truth)
    assert measure(throw).sizes["keypoint"] == 43


def test_noise_and_drift_are_of_the_size_and_colour_asked_for(still):
    names = list(still.keypoint.values[:20])
    truth = still["keypoint_position"].sel(keypoint=names).values
    white = measure(still, names, noise=0.01, seed=4)["position"].values - truth
    np.testing.assert_allclose(white.std(axis=(0, 1)), 0.01, rtol=0.02)
    slow = measure(still, names, drift=0.02, drift_time=0.4, seed=4)["position"].values - truth
    np.testing.assert_allclose(np.sqrt((slow**2).sum(-1).mean()), 0.02, rtol=0.05)
    for lag in (1, 10, 20):
        expected = np.exp(-lag / 50 / 0.4)
        np.testing.assert_allclose((slow[lag:] * slow[:-lag]).mean() / (slow**2).mean(), expected, atol=0.03)
    both = measure(still, names, noise=0.01, drift=0.02, drift_time=0.4, seed=4)["position"].values - truth
    np.testing.assert_allclose(both, white + slow, atol=1e-12)
    assert not np.allclose(
        both, measure(still, names, noise=0.01, drift=0.02, seed=5)["position"].values - truth
    )


def test_points_are_missing_in_bursts(still):
    names = list(still.keypoint.values[:10])
    full = measure(still, names, noise=0.01, seed=6)
    gaps = measure(still, names, noise=0.01, missing=0.1, seed=6)
    missing = np.isnan(gaps["position"].values).all(axis=2)
    assert abs(missing.mean() - 0.1) < 0.001
    assert (gaps["confidence"].values == ~missing).all()
    np.testing.assert_array_equal(gaps["position"].values[~missing], full["position"].values[~missing])
    changes = np.diff(np.pad(missing[:, :].T.astype(int), ((0, 0), (1, 1))), axis=1)
    lengths = (np.argwhere(changes == -1)[:, 1] - np.argwhere(changes == 1)[:, 1]) / 50
    assert 0.2 < np.median(lengths) < 0.45
    assert np.mean((lengths > 0.09) & (lengths < 0.52)) > 0.9


def test_unusable_measurements_are_refused(throw):
    with refused(DataError, "motion has no keypoint 'wirst_left'; did you mean 'wrist_left'?"):
        measure(throw, ["wirst_left"])
    with refused(DataError, "missing is 1.5; possible: a fraction in 0..0.95"):
        measure(throw, missing=1.5)
    with refused(
        DataError,
        "noise -1 m, drift 0 m, drift_time 0.3 s; possible: noise and drift from 0 up, drift_time above 0",
    ):
        measure(throw, noise=-1)


# ---- the bundled example
def test_the_bundled_example_is_what_its_study_writes(tmp_path, throw):
    study = REPOSITORY / "studies" / "make_example.py"
    subprocess.run([sys.executable, study, tmp_path], check=True, cwd=REPOSITORY)
    shipped = REPOSITORY / "models" / "examples"
    assert sum(path.stat().st_size for path in shipped.glob("walk_throw*")) < 600_000
    truth = read_motion(shipped / "walk_throw_truth.nc")
    xr.testing.assert_allclose(truth, read_motion(tmp_path / "walk_throw_truth.nc"), atol=1e-4)
    xr.testing.assert_allclose(truth, throw, rtol=1e-6, atol=1e-3)
    chain = load_chain("fullbody")
    keypoints, again = (
        read_keypoints(folder / "walk_throw.csv", chain=chain) for folder in (shipped, tmp_path)
    )
    np.testing.assert_allclose(keypoints["position"], again["position"], atol=1.01e-4)
    assert keypoints.sizes == {"time": 240, "keypoint": 17, "space": 3}
    error = keypoints["position"] - truth["keypoint_position"].sel(keypoint=keypoints["keypoint"])
    assert 0.012 < np.sqrt((error**2).sum("space").mean()) < 0.015  # sqrt(3 5^2 + 10^2) = 13.2 mm
