"""Chain files: what is read, what is written back, and what is refused with which words."""

import math

import pytest

from kinepose_ocp.chain_file import (
    chain_from_yaml,
    chain_to_yaml,
    load_chain,
)
from kinepose_ocp.errors import ModelError
from kinepose_ocp.shipped import models_dir, shipped_chains
from kinepose_ocp.yaml_file import parse_yaml

LEG = """\
schema: 1
name: leg
source: a book
joints:
  - name: hip
    parent: null
    dofs:
      - {name: flexion, rotation: [0, -1, 0]}
  - name: knee
    parent: hip
    offset: [0, 0, -0.4]
    dofs:
      - {name: flexion, rotation: [0, 1, 0], rom: [0, 140]}
keypoints:
  hip: {joint: hip}
  knee: {joint: knee}
links:
  - [hip, knee]
"""


def refusal(text, place="leg.yaml"):
    with pytest.raises(ModelError) as error:
        chain_from_yaml(text, place)
    message = str(error.value)
    assert "\n" not in message
    return message


# ---- reading -----------------------------------------------------------------------------------------
def test_degrees_become_radians_and_defaults_are_filled():
    chain = chain_from_yaml(LEG)
    assert chain.dofs["knee.flexion"].upper == pytest.approx(math.radians(140))
    assert chain.dofs["hip.flexion"].lower == -math.inf
    assert chain.frame == {"forward": "x", "left": "y", "up": "z"}
    assert chain.links[0].weight == 1


def test_translations_stay_in_metres():
    text = LEG.replace("rotation: [0, 1, 0], rom: [0, 140]", "translation: [0, 1, 0], rom: [-0.1, 0.2]")
    dof = chain_from_yaml(text).dofs["knee.flexion"]
    assert (dof.lower, dof.upper, dof.translates) == (-0.1, 0.2, True)


def test_axes_need_not_be_coordinate_axes_and_are_normalised():
    dof = chain_from_yaml(LEG.replace("[0, 1, 0], rom", "[0.6, 0.8, 0.00001], rom")).dofs["knee.flexion"]
    assert dof.axis == pytest.approx((0.6, 0.8, 0.0), abs=2e-5)
    assert math.hypot(*dof.axis) == pytest.approx(1, abs=1e-15)


def test_joints_listed_children_first_are_ordered_parents_first():
    start, end = LEG.index("  - name: hip"), LEG.index("  - name: knee")
    tail = LEG.index("keypoints:")
    text = LEG[:start] + LEG[end:tail] + LEG[start:end] + LEG[tail:]
    assert chain_from_yaml(text).joint_names == ("hip", "knee")


def test_rest_defaults_to_the_value_of_the_rom_nearest_to_zero():
    chain = chain_from_yaml(LEG.replace("rom: [0, 140]", "rom: [20, 140]"))
    assert chain.dofs["knee.flexion"].rest == pytest.approx(math.radians(20))


def test_right_handed_frame_with_signed_axes():
    text = LEG.replace("joints:", "frame: {forward: x, left: -z, up: y}\njoints:", 1)
    assert chain_from_yaml(text).frame["left"] == "-z"


def test_yaml_1_2_rules():
    text = "a: no\nb: on\nc: yes\nd: 1e-3\ne: 010\nf: 12:30\ng: null"
    assert parse_yaml(text, "text") == {
        "a": "no", "b": "on", "c": "yes", "d": 1e-3, "e": 10, "f": "12:30", "g": None,
    }  # fmt: skip
    chain = chain_from_yaml(LEG.replace("name: hip", "name: no").replace("hip", "no"))
    assert chain.joint_names == ("no", "knee")
    assert chain_from_yaml(LEG.replace("-0.4", "-4e-1")).joints[1].offset == (0, 0, -0.4)


def test_a_file_is_loaded_by_its_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(LEG, encoding="utf-8")
    assert load_chain(path) == load_chain(str(path)) == chain_from_yaml(LEG)


# ---- writing back --------------------------------------------------------------------------------------
def assert_same(one, other):
    assert (one.name, one.source, one.description) == (other.name, other.source, other.description)
    assert (one.frame, one.layouts, one.links) == (other.frame, other.layouts, other.links)
    assert one.joint_names == other.joint_names
    assert one.parents == other.parents
    for mine, theirs in zip(one.joints, other.joints, strict=True):
        assert mine.offset == pytest.approx(theirs.offset, abs=1e-9)
        assert mine.orientation == pytest.approx(theirs.orientation, abs=1e-9)
    assert list(one.dofs) == list(other.dofs)
    for name, dof in one.dofs.items():
        twin = other.dofs[name]
        assert (dof.translates, dof.locked) == (twin.translates, twin.locked)
        assert dof.axis == pytest.approx(twin.axis, abs=1e-9)
        assert (dof.lower, dof.upper, dof.rest) == pytest.approx(
            (twin.lower, twin.upper, twin.rest), abs=1e-9
        )
    assert list(one.keypoints) == list(other.keypoints)
    for name, site in one.keypoints.items():
        assert site.joint == other.keypoints[name].joint
        assert site.offset == pytest.approx(other.keypoints[name].offset, abs=1e-9)


@pytest.mark.parametrize("name", shipped_chains())
def test_shipped_chains_survive_a_round_trip(name):
    chain = load_chain(name)
    assert_same(chain_from_yaml(chain_to_yaml(chain)), chain)


def test_changed_chains_survive_a_round_trip():
    chain = load_chain("fullbody").with_rom({"knee_right.flexion": (5, 120.5), "pelvis.x": (-1, 2)})
    chain = chain.with_locked({"elbow_left.flexion": 33.3}).with_unlocked("knee_left.varus")
    chain = chain.with_lengths({"knee_left": 0.41234567}, {"heel_left": 0.1})
    assert_same(chain_from_yaml(chain_to_yaml(chain)), chain)


def test_a_one_sided_rom_survives_a_round_trip():
    chain = chain_from_yaml(LEG).with_rom({"knee.flexion": (-math.inf, 140), "hip.flexion": (-20, math.inf)})
    text = chain_to_yaml(chain)
    assert "[-.inf, 140.0]" in text
    assert_same(chain_from_yaml(text), chain)


def test_weights_and_layouts_survive_a_round_trip():
    text = LEG.replace("[hip, knee]", "[hip, knee, 0.5]") + "layouts:\n  two: {a: hip, b: [knee], c: []}\n"
    chain = chain_from_yaml(text)
    assert chain.layouts == {"two": {"a": "hip", "b": ["knee"], "c": []}}
    assert_same(chain_from_yaml(chain_to_yaml(chain)), chain)


# ---- what is refused -------------------------------------------------------------------------------------
KNEE = "joint 'knee'"
FLEXION = f"{KNEE}, dof 'flexion'"
DOF_ENTRY = "joints[1] ('knee').dofs[0] ('flexion')"
LINK = "links[0]: a link is [from, to] or [from, to, weight], found"
AXES = "forward, left and up must be three different axes"
KEYS = "schema, name, description, source, frame, joints, keypoints, links, layouts, cones, couplings"
REFUSED = {
    "unknown key at the top": (
        "source: a book",
        "source: a book\ncolour: red",
        f"colour: unknown key; possible: {KEYS}",
    ),
    "unknown key of a joint": (
        "    offset:",
        "    offsets:",
        "joints[1] ('knee').offsets: unknown key; did you mean 'offset'?",
    ),
    "unknown key of a dof": (
        "rom: [0, 140]",
        "roms: [0, 140]",
        f"{DOF_ENTRY}.roms: unknown key; did you mean 'rom'?",
    ),
    "unknown key of a keypoint": (
        "{joint: knee}",
        "{joint: knee, ofset: [0, 0, 0]}",
        "keypoints.knee.ofset: unknown key; did you mean 'offset'?",
    ),
    "unknown key of the frame": (
        "joints:",
        "frame: {forwards: x}\njoints:",
        "frame.forwards: unknown key; did you mean 'forward'?",
    ),
    "duplicate joint": ("name: knee", "name: hip", "two joints are named 'hip'; names must be unique"),
    "duplicate dof": (
        "rom: [0, 140]}",
        "rom: [0, 140]}\n      - {name: flexion, rotation: [1, 0, 0]}",
        f"{KNEE}: two DOFs are named 'flexion'; names must be unique in a joint",
    ),
    "dot in a name": (
        "name: knee",
        "name: kn.ee",
        "joints[1] ('kn.ee').name: should be a name without dots and spaces, found 'kn.ee'",
    ),
    "number as a name": ("name: leg", "name: 5", "name: input should be a valid string, found 5"),
    "cycle": ("parent: hip", "parent: knee", "joints knee form a cycle of parents"),
    "missing parent": ("parent: hip", "parent: hop", f"{KNEE}: no parent joint 'hop'; did you mean 'hip'?"),
    "parent not given": ("    parent: hip\n", "", "joints[1] ('knee').parent: is required and missing"),
    "two roots": ("parent: hip", "parent: null", "exactly one joint has 'parent: null'; found 2: hip, knee"),
    "no root": ("parent: null", "parent: knee", "exactly one joint has 'parent: null'; found 0: none"),
    "axis too long": (
        "[0, 1, 0], rom",
        "[0, 2, 0], rom",
        f"{FLEXION}: axis [0.0, 2.0, 0.0] has length 2; it must be a unit vector",
    ),
    "axis without length": (
        "[0, 1, 0], rom",
        "[0, 0, 0], rom",
        f"{FLEXION}: axis [0.0, 0.0, 0.0] has length 0; it must be a unit vector",
    ),
    "rotation and translation": (
        "rom: [0, 140]",
        "translation: [0, 0, 1]",
        f"{FLEXION}: give either 'rotation: [x, y, z]' or 'translation: [x, y, z]'",
    ),
    "neither": (
        "rotation: [0, 1, 0], ",
        "",
        f"{FLEXION}: give either 'rotation: [x, y, z]' or 'translation: [x, y, z]'",
    ),
    "rom inverted": (
        "rom: [0, 140]",
        "rom: [140, 0]",
        f"{FLEXION}: rom [140, 0] has its lower limit above its upper one",
    ),
    "rom of one number": ("rom: [0, 140]", "rom: [140]", f"{DOF_ENTRY}.rom[1]: is required and missing"),
    "rom not a number": (
        "rom: [0, 140]",
        "rom: [0, .nan]",
        f"{FLEXION}: rom [0, nan] is not a pair of numbers",
    ),
    "rest outside": (
        "rom: [0, 140]",
        "rom: [0, 140], rest: 150",
        f"{FLEXION}: rest 150 is outside its rom [0, 140]",
    ),
    "locked outside": (
        "rom: [0, 140]",
        "rom: [20, 140], locked: true",
        f"{FLEXION}: rest 0 is outside its rom [20, 140]",
    ),
    "link to unknown": ("[hip, knee]", "[hip, kne]", "links[0]: no keypoint 'kne'; did you mean 'knee'?"),
    "link to itself": ("[hip, knee]", "[knee, knee]", "links[0]: 'knee' is linked with itself"),
    "link of one": ("[hip, knee]", "[hip]", f"{LINK} ['hip']"),
    "link of text": ("[hip, knee]", "hip", f"{LINK} 'hip'"),
    "link of lists": ("[hip, knee]", "[[hip], knee]", f"{LINK} [['hip'], 'knee']"),
    "negative weight": ("[hip, knee]", "[hip, knee, -1]", "links[0]: weight -1 is not a number from 0 up"),
    "weight of text": (
        "[hip, knee]",
        "[hip, knee, much]",
        "links[0]: weight 'much' is not a number from 0 up",
    ),
    "keypoint on unknown joint": (
        "{joint: knee}",
        "{joint: kne}",
        "keypoints.knee: no joint 'kne'; did you mean 'knee'?",
    ),
    "missing source": ("source: a book\n", "", "source: is required and missing"),
    "wrong schema": ("schema: 1", "schema: 2", "schema is 2; possible: 1"),
    "missing schema": ("schema: 1\n", "", "schema is None; possible: 1"),
    "offset of text": ("[0, 0, -0.4]", "low", "joints[1] ('knee').offset: should be a list, found 'low'"),
    "offset of two": ("[0, 0, -0.4]", "[0, 0]", "joints[1] ('knee').offset[2]: is required and missing"),
    "offset not a number": (
        "[0, 0, -0.4]",
        "[0, 0, .nan]",
        "joints[1] ('knee').offset[2]: input should be a finite number, found nan",
    ),
    "quaternion": (
        "    offset:",
        "    orientation: [1, 1, 0, 0]\n    offset:",
        f"{KNEE}: orientation [1.0, 1.0, 0.0, 0.0] is not a unit quaternion (norm 1.41421)",
    ),
    "joint of text": (
        "  - name: hip",
        "  - hop\n  - name: hip",
        "joints[0]: should be a mapping, found 'hop'",
    ),
    "frame axis": (
        "joints:",
        "frame: {up: u}\njoints:",
        "frame: 'u' is no axis; possible: x, y, z, -x, -y, -z",
    ),
    "frame axis twice": ("joints:", "frame: {up: -x}\njoints:", f"frame: {AXES}, found x, y, -x"),
    "left-handed frame": (
        "joints:",
        "frame: {left: -y}\njoints:",
        "frame: forward, left, up = x, -y, z is left-handed; turn one sign",
    ),
    "layout target": (
        "links:",
        "layouts: {a: {b: hop}}\nlinks:",
        "layouts.a.b: no keypoint 'hop'; did you mean 'hip'?",
    ),
    "layout of a list": (
        "links:",
        "layouts: {a: [b]}\nlinks:",
        "layouts.a: should be a mapping, found ['b']",
    ),
    "duplicate key": (
        "name: leg",
        "name: leg\nname: arm",
        'line 3: found duplicate key "name" with value "arm" (original value: "leg"); give each key once',
    ),
    "broken yaml": ("name: leg", "name: [leg", "line 3: not valid YAML: expected ',' or ']', but got ':'"),
    "two documents": ("links:", "---\nlinks:", "line 17: not valid YAML: but found another document"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_chain_file_is_refused_in_one_line(case):
    old, new, message = REFUSED[case]
    assert old in LEG
    assert refusal(LEG.replace(old, new, 1)) == f"leg.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a chain file is a mapping with 'schema', 'name', 'joints', ...; found nothing"),
        ("[1, 2]", "a chain file is a mapping with 'schema', 'name', 'joints', ...; found list"),
        ("schema: 1\nname: a\nsource: book\njoints: []\nkeypoints: {}", "joints: is empty, found []"),
        ("schema: 1\nname: a\nsource: book\nkeypoints: {}", "joints: is required and missing"),
        ("schema: 1\nname: a\nsource: book\njoints: [{name: b, parent: null}]\nkeypoints: {}",
         "keypoints: is empty, found {}"),
    ],
)  # fmt: skip
def test_a_file_without_content_is_refused(text, message):
    assert refusal(text) == f"leg.yaml: {message}"


def test_a_cycle_beside_the_root_is_named():
    pair = "  - {name: a, parent: b}\n  - {name: b, parent: a}\n"
    assert refusal(LEG.replace("keypoints:", pair + "keypoints:", 1)) == (
        "leg.yaml: joints a, b form a cycle of parents"
    )


# ---- files that cannot be read -----------------------------------------------------------------------------
def load_refusal(name):
    with pytest.raises(ModelError) as error:
        load_chain(name)
    return str(error.value)


def test_a_missing_file(tmp_path):
    path = tmp_path / "leg.yaml"
    assert load_refusal(path) == f"{path}: cannot be read: No such file or directory"


def test_a_directory(tmp_path):
    path = tmp_path / "leg.yaml"
    path.mkdir()
    assert load_refusal(path) == f"{path}: cannot be read: Is a directory"


def test_a_file_that_is_not_utf_8(tmp_path):
    path = tmp_path / "leg.yaml"
    path.write_bytes(b"name: caf\xe9")
    assert load_refusal(path) == f"{path}: not a text file (byte 9 is not UTF-8)"


def test_a_file_of_the_wrong_content_is_named(tmp_path):
    path = tmp_path / "leg.yml"
    path.write_text(LEG.replace("schema: 1", "schema: 7"), encoding="utf-8")
    assert load_refusal(path) == f"{path}: schema is 7; possible: 1"


def test_an_unknown_name_offers_the_nearest_shipped_chain():
    assert load_refusal("full_body") == (
        "no chain 'full_body': neither a .yaml file nor a shipped chain; did you mean 'fullbody'?"
    )


def test_shipped_chains_are_named_like_their_files():
    assert {"fullbody", "imvip22"} <= set(shipped_chains())
    for name in shipped_chains():
        assert load_chain(name).name == name
        assert (models_dir() / f"{name}.yaml").is_file()
