"""Chains as frozen values: changed copies, and what they refuse."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain, Dof, Joint, Link, Site
from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import ModelError

INFINITY = math.inf


@pytest.fixture
def leg():
    """Hip with a translation and a flexion, knee with a flexion and a locked twist."""
    hip = Joint("hip", None, dofs=(Dof("x", (1, 0, 0), translates=True), Dof("flexion", (0, -1, 0))))
    flexion = Dof("flexion", (0, 1, 0), lower=0.0, upper=math.radians(140))
    twist = Dof("twist", (0, 0, 1), lower=-0.2, upper=0.2, locked=True)
    knee = Joint("knee", "hip", (0.0, 0.0, -0.4), dofs=(flexion, twist))
    keypoints = {"hip": Site("hip"), "knee": Site("knee"), "heel": Site("knee", (-0.03, 0.0, -0.04))}
    return Chain("leg", "a book", (hip, knee), keypoints, (Link("hip", "knee"),))


def test_dofs_are_named_joint_and_dof_in_order(leg):
    assert list(leg.dofs) == ["hip.x", "hip.flexion", "knee.flexion", "knee.twist"]
    assert list(leg.free_dofs) == ["hip.x", "hip.flexion", "knee.flexion"]
    assert leg.joint_names == ("hip", "knee")
    assert leg.parents == (-1, 0)
    assert leg.ancestors(1) == [1, 0]
    assert leg.root.name == "hip"


def test_root_translates_only_while_a_translation_is_free(leg):
    assert leg.root_translates
    assert not leg.with_locked({"hip.x": 0}).root_translates


def test_chain_is_frozen(leg):
    with pytest.raises(dataclasses.FrozenInstanceError):
        leg.name = "arm"
    with pytest.raises(dataclasses.FrozenInstanceError):
        leg.dofs["knee.flexion"].upper = 1.0


def test_unknown_dof_names_the_nearest(leg):
    with pytest.raises(ModelError) as error:
        leg.dof("knee.flexon")
    assert str(error.value) == (
        "no degree of freedom 'knee.flexon' in chain 'leg'; did you mean 'knee.flexion'?"
    )


# ---- with_rom --------------------------------------------------------------------------------------
def test_with_rom_takes_degrees_and_leaves_the_original(leg):
    changed = leg.with_rom({"knee.flexion": (10, 120)})
    assert changed.dofs["knee.flexion"].lower == pytest.approx(math.radians(10))
    assert changed.dofs["knee.flexion"].upper == pytest.approx(math.radians(120))
    assert leg.dofs["knee.flexion"].upper == pytest.approx(math.radians(140))
    assert changed.dofs["hip.flexion"] == leg.dofs["hip.flexion"]


def test_with_rom_takes_metres_for_a_translation(leg):
    dof = leg.with_rom({"hip.x": (-2, 3)}).dofs["hip.x"]
    assert (dof.lower, dof.upper) == (-2, 3)


def test_with_rom_may_leave_one_side_open(leg):
    dof = leg.with_rom({"knee.flexion": (-INFINITY, 5)}).dofs["knee.flexion"]
    assert dof.lower == -INFINITY
    assert dof.upper == pytest.approx(math.radians(5))


def test_with_rom_keeps_the_rest_value_inside(leg):
    assert leg.with_rom({"knee.flexion": (10, 120)}).dofs["knee.flexion"].rest == pytest.approx(
        math.radians(10)
    )
    assert leg.with_rom({"knee.flexion": (-9, -3)}).dofs["knee.flexion"].rest == pytest.approx(
        math.radians(-3)
    )


@pytest.mark.parametrize(
    ("rom", "message"),
    [
        ({"knee.flexion": (9, 8)}, "ROM of 'knee.flexion' in chain 'leg': lower 9 is above upper 8"),
        (
            {"kneeflexion": (0, 1)},
            "no degree of freedom 'kneeflexion' in chain 'leg'; did you mean 'knee.flexion'?",
        ),
        (
            {"wrist.z": (0, 1)},
            "no degree of freedom 'wrist.z' in chain 'leg'; "
            "possible: hip.x, hip.flexion, knee.flexion, knee.twist",
        ),
    ],
)
def test_with_rom_refuses(leg, rom, message):
    with pytest.raises(ModelError) as error:
        leg.with_rom(rom)
    assert str(error.value) == message


# ---- with_locked, with_unlocked ----------------------------------------------------------------------
def test_with_locked_locks_at_the_rest_value_and_with_unlocked_frees_it(leg):
    locked = leg.with_locked({"knee.flexion": 30})
    assert locked.dofs["knee.flexion"].locked
    assert locked.dofs["knee.flexion"].rest == pytest.approx(math.radians(30))
    assert "knee.flexion" not in locked.free_dofs
    freed = locked.with_unlocked("knee.flexion", "knee.twist")
    assert list(freed.free_dofs) == list(leg.dofs)
    assert freed.dofs["knee.flexion"].upper == leg.dofs["knee.flexion"].upper


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            {"knee.flexion": 150},
            "rest value 150 of 'knee.flexion' in chain 'leg' is outside its ROM [0, 140]",
        ),
        (
            {"hip.flexion": INFINITY},
            "rest value inf of 'hip.flexion' in chain 'leg' is outside its ROM [-inf, inf]",
        ),
        (
            {"hip.flexion": math.nan},
            "rest value nan of 'hip.flexion' in chain 'leg' is outside its ROM [-inf, inf]",
        ),
        ({"hip.flex": 1}, "no degree of freedom 'hip.flex' in chain 'leg'; did you mean 'hip.flexion'?"),
    ],
)
def test_with_locked_refuses(leg, rest, message):
    with pytest.raises(ModelError) as error:
        leg.with_locked(rest)
    assert str(error.value) == message


def test_with_unlocked_refuses_an_unknown_dof(leg):
    with pytest.raises(ModelError) as error:
        leg.with_unlocked("knee.twists")
    assert str(error.value) == "no degree of freedom 'knee.twists' in chain 'leg'; did you mean 'knee.twist'?"


# ---- with_lengths ------------------------------------------------------------------------------------
def test_with_lengths_stretches_along_the_rest_direction(leg):
    changed = leg.with_lengths({"knee": 0.5}, {"heel": 0.1})
    assert changed.joints[1].offset == pytest.approx((0, 0, -0.5))
    assert changed.keypoints["heel"].offset == pytest.approx((-0.06, 0, -0.08))
    assert leg.joints[1].offset == (0, 0, -0.4)
    assert leg.keypoints["heel"].offset == (-0.03, 0, -0.04)


@pytest.mark.parametrize(
    ("joints", "keypoints", "message"),
    [
        ({"kne": 0.4}, None, "no joint 'kne' in chain 'leg'; did you mean 'knee'?"),
        ({}, {"toe": 0.4}, "no keypoint 'toe' in chain 'leg'; possible: hip, knee, heel"),
        ({"knee": 0}, None, "length of 'knee' in chain 'leg' must be positive, got 0 m"),
        ({"knee": math.nan}, None, "length of 'knee' in chain 'leg' must be positive, got nan m"),
        ({"hip": 0.1}, None, "'hip' in chain 'leg' has no segment to its parent: its offset is zero"),
        ({}, {"knee": 0.1}, "'knee' in chain 'leg' has no segment to its parent: its offset is zero"),
    ],
)
def test_with_lengths_refuses(leg, joints, keypoints, message):
    with pytest.raises(ModelError) as error:
        leg.with_lengths(joints, keypoints)
    assert str(error.value) == message


# ---- the shipped full body ---------------------------------------------------------------------------
SIDES = ("right", "left")
FULLBODY = load_chain("fullbody")


def positions(chain, degrees):
    """Keypoint positions [m] by forward kinematics in scipy alone; ``degrees``: ``{"joint.dof": value}``."""
    frames = {}
    for joint in chain.joints:
        rotation, origin = frames[joint.parent] if joint.parent else (Rotation.identity(), np.zeros(3))
        origin = origin + rotation.apply(joint.offset)
        rotation = rotation * Rotation.from_quat(np.roll(joint.orientation, -1))
        for dof in joint.dofs:
            value = degrees.get(f"{joint.name}.{dof.name}", 0.0)
            if dof.translates:
                origin = origin + rotation.apply(value * np.array(dof.axis))
            else:
                rotation = rotation * Rotation.from_rotvec(math.radians(value) * np.array(dof.axis))
        frames[joint.name] = (rotation, origin)
    return {
        name: frames[site.joint][1] + frames[site.joint][0].apply(site.offset)
        for name, site in chain.keypoints.items()
    }


def on_both_sides(degrees):
    """``{"hip_*.flexion": 30}`` -> the same angle right and left."""
    return {name.replace("*", side): value for name, value in degrees.items() for side in SIDES}


def moved(degrees, keypoint, held=None):
    """How far a keypoint of either side moves [m]: forward, outward (away from the body), up."""
    held = on_both_sides(held or {})
    before = positions(FULLBODY, held)
    after = positions(FULLBODY, held | on_both_sides(degrees))
    right, left = (after[f"{keypoint}_{side}"] - before[f"{keypoint}_{side}"] for side in SIDES)
    assert right * [1, -1, 1] == pytest.approx(left, abs=1e-12)
    return left


def test_fullbody_stands_on_two_feet_with_hanging_arms():
    rest = positions(FULLBODY, {})
    height = rest["head"][2] - rest["heel_left"][2]
    assert height == pytest.approx(1.75, abs=0.02)
    for side in SIDES:
        assert rest[f"elbow_{side}"][:2] == pytest.approx(rest[f"shoulder_{side}"][:2])
        assert rest[f"wrist_{side}"][2] < rest[f"elbow_{side}"][2] < rest[f"shoulder_{side}"][2]
        assert rest[f"ankle_{side}"][:2] == pytest.approx(rest[f"hip_{side}"][:2])
        assert rest[f"toe_big_{side}"][0] > rest[f"ankle_{side}"][0] > rest[f"heel_{side}"][0]
    assert rest["hip_left"][1] > 0 > rest["hip_right"][1]
    assert rest["pelvis"] == pytest.approx((rest["hip_left"] + rest["hip_right"]) / 2)
    assert rest["neck"] == pytest.approx((rest["shoulder_left"] + rest["shoulder_right"]) / 2)
    assert rest["spine"] == pytest.approx((rest["neck"] + rest["pelvis"]) / 2)


def test_fullbody_segments_have_the_cited_fractions_of_stature():
    rest = positions(FULLBODY, {})
    cited = {
        ("hip", "knee"): 0.245,
        ("knee", "ankle"): 0.246,
        ("shoulder", "elbow"): 0.186,
        ("elbow", "wrist"): 0.146,
    }
    for (start, end), fraction in cited.items():
        for side in SIDES:
            length = np.linalg.norm(rest[f"{start}_{side}"] - rest[f"{end}_{side}"])
            assert length == pytest.approx(1.75 * fraction, abs=5e-4)


def test_fullbody_is_mirrored_in_geometry_and_ranges():
    by_name = {joint.name: joint for joint in FULLBODY.joints}
    for name, right in by_name.items():
        if not name.endswith("_right"):
            continue
        left = by_name[name.replace("_right", "_left")]
        assert left.offset == pytest.approx(right.offset * np.array([1, -1, 1]))
        for one, other in zip(right.dofs, left.dofs, strict=True):
            # a rotation axis is a pseudovector: the mirror y -> -y turns its x and z
            assert other.axis == pytest.approx(one.axis * np.array([-1, 1, -1]))
            assert (one.name, one.lower, one.upper, one.locked) == (
                other.name,
                other.lower,
                other.upper,
                other.locked,
            )


def test_any_same_posture_right_and_left_is_a_mirror_image():
    random = np.random.default_rng(5)
    degrees = {
        name.replace("_right", "_*"): random.uniform(math.degrees(dof.lower), math.degrees(dof.upper))
        for name, dof in FULLBODY.dofs.items()
        if "_right." in name
    }
    posture = positions(FULLBODY, on_both_sides(degrees))
    for name, point in posture.items():
        twin = name.replace("_right", "_left") if "_right" in name else name.replace("_left", "_right")
        assert point * [1, -1, 1] == pytest.approx(posture[twin], abs=1e-12)


@pytest.mark.parametrize("name", [name for name, dof in FULLBODY.dofs.items() if name[:6] != "pelvis"])
def test_every_range_is_bounded_and_holds_the_rest_posture(name):
    dof = FULLBODY.dofs[name]
    assert -math.inf < dof.lower < 0 < dof.upper < math.inf
    assert dof.rest == 0


def test_the_root_is_unbounded():
    for dof in FULLBODY.root.dofs:
        assert (dof.lower, dof.upper) == (-math.inf, math.inf)


FORWARD, OUTWARD, UP = 0, 1, 2
SIGNS = [
    ("hip_*.flexion", "ankle", FORWARD, +1, {}),
    ("hip_*.abduction", "ankle", OUTWARD, +1, {}),
    ("hip_*.rotation", "toe_big", OUTWARD, -1, {}),
    ("hip_*.rotation", "ankle", OUTWARD, +1, {"knee_*.flexion": 90}),  # foot swings out as the thigh turns in
    ("knee_*.flexion", "ankle", FORWARD, -1, {}),
    ("knee_*.varus", "ankle", OUTWARD, -1, {}),
    ("knee_*.rotation", "toe_big", OUTWARD, -1, {}),
    ("ankle_*.dorsiflexion", "toe_big", UP, +1, {}),
    ("ankle_*.inversion", "toe_small", UP, -1, {}),
    ("ankle_*.inversion", "toe_big", OUTWARD, -1, {}),
    ("toes_*.flexion", "toe_big", UP, -1, {}),
    ("clavicle_*.protraction", "shoulder", FORWARD, +1, {}),
    ("clavicle_*.elevation", "shoulder", UP, +1, {}),
    ("shoulder_*.flexion", "elbow", FORWARD, +1, {}),
    ("shoulder_*.abduction", "elbow", OUTWARD, +1, {}),
    ("shoulder_*.rotation", "wrist", OUTWARD, -1, {"elbow_*.flexion": 90}),
    ("elbow_*.flexion", "wrist", FORWARD, +1, {}),
    ("forearm_*.pronation", "hand_thumb", OUTWARD, -1, {}),
    ("wrist_*.flexion", "hand", OUTWARD, -1, {}),
    ("wrist_*.deviation", "hand", FORWARD, +1, {}),
]


@pytest.mark.parametrize(("dof", "keypoint", "direction", "sign", "held"), SIGNS)
def test_positive_angles_have_their_anatomical_meaning_on_both_sides(dof, keypoint, direction, sign, held):
    assert sign * moved({dof: 20}, keypoint, held)[direction] > 0.005


def test_thirty_degrees_of_hip_flexion_bring_the_ankles_forward_by_half_the_leg():
    leg = 0.429 + 0.4305
    assert moved({"hip_*.flexion": 30}, "ankle")[FORWARD] == pytest.approx(leg / 2)


def test_arms_abducted_to_the_horizontal_turn_outward_until_the_forearms_stand():
    cocked = {"shoulder_*.abduction": 90, "elbow_*.flexion": 90}
    before, after = (
        positions(FULLBODY, on_both_sides(cocked | {"shoulder_*.rotation": angle})) for angle in (0, -90)
    )
    assert before["wrist_right"][0] == pytest.approx(before["elbow_right"][0] + 0.2555)
    assert after["wrist_right"][2] == pytest.approx(after["elbow_right"][2] + 0.2555)


@pytest.mark.parametrize("joint", ["lumbar", "thorax", "neck"])
def test_the_trunk_bends_forward_to_the_right_and_turns_left(joint):
    rest = positions(FULLBODY, {})
    assert positions(FULLBODY, {f"{joint}.flexion": 20})["head"][0] > rest["head"][0] + 0.02
    assert positions(FULLBODY, {f"{joint}.bending": 20})["head"][1] < rest["head"][1] - 0.02
    assert positions(FULLBODY, {f"{joint}.rotation": 20})["nose"][1] > 0.02


def test_the_pelvis_turns_left_drops_its_right_side_and_tilts_forward():
    assert positions(FULLBODY, {"pelvis.yaw": 20})["nose"][1] > 0.02
    assert positions(FULLBODY, {"pelvis.list": 20})["hip_right"][2] < -0.02
    assert positions(FULLBODY, {"pelvis.tilt": 20})["neck"][0] > 0.1
    assert positions(FULLBODY, {"pelvis.x": 1.5})["pelvis"] == pytest.approx([1.5, 0, 0])


def rank(joint, degrees):
    """Smallest singular value [1] of the map from three angle rates to the angular velocity; 0 = locked."""
    turn, axes = Rotation.identity(), []
    for dof in next(one for one in FULLBODY.joints if one.name == joint).dofs:
        axes.append(turn.apply(dof.axis))
        turn = turn * Rotation.from_rotvec(math.radians(degrees.get(dof.name, 0)) * np.array(dof.axis))
    return np.linalg.svd(axes[-3:], compute_uv=False)[-1]


@pytest.mark.parametrize(
    ("joint", "posture"),
    [
        ("shoulder_right", {}),  # hanging
        ("shoulder_right", {"abduction": 90, "rotation": -120}),  # throwing
        ("shoulder_right", {"abduction": 90, "flexion": 30}),
        ("shoulder_right", {"abduction": 180}),  # overhead
        ("shoulder_right", {"flexion": 45}),
        ("hip_right", {"flexion": 120, "abduction": 45}),
        ("pelvis", {"tilt": 90}),  # prone
        ("pelvis", {"yaw": 170, "tilt": -90}),  # supine
        ("lumbar", {"flexion": 60, "bending": 20}),
    ],
)
def test_usual_postures_are_far_from_gimbal_lock(joint, posture):
    assert rank(joint, posture) > 0.4
