"""Figures and clips: what they show, and that odd motions do not break them."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from matplotlib.animation import FFMpegWriter
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from kinepose_ocp import plotting
from kinepose_ocp.chain import Chain, Joint, Site
from kinepose_ocp.chain_file import chain_from_yaml, chain_to_yaml, load_chain
from kinepose_ocp.errors import DataError
from kinepose_ocp.plotting import clip, content, scene

LEG = """
schema: 1
name: leg
source: made for this test
joints:
  - name: pelvis
    parent: null
    dofs:
      - {name: x, translation: [1, 0, 0]}
      - {name: tilt, rotation: [0, 1, 0]}
      - {name: list, rotation: [1, 0, 0]}
      - {name: turn, rotation: [0, 0, 1]}
  - name: knee_right
    parent: pelvis
    offset: [0, -0.1, -0.4]
    dofs:
      - {name: flexion, rotation: [0, 1, 0], rom: [0, 137]}
      - {name: twist, rotation: [0, 0, 1], rom: [-10, 10], locked: true}
  - name: knee_left
    parent: pelvis
    offset: [0, 0.1, -0.4]
    dofs:
      - {name: flexion, rotation: [0, 1, 0], rom: [0, 137]}
keypoints:
  pelvis: {joint: pelvis}
  knee_right: {joint: knee_right}
  knee_left: {joint: knee_left}
  toe: {joint: knee_right, offset: [0, 0, -0.4]}
"""


def leg() -> Chain:
    return chain_from_yaml(LEG)


def make_motion(chain: Chain, frames: int = 30, rate: float = 20.0, speed: float = 0.0) -> xr.Dataset:
    """A valid motion: the rest pose that bobs and moves on [m/s]; angles are sines cut at the ROM."""
    time = np.arange(frames) / rate
    sine = np.sin(2 * np.pi * time / 1.5)
    places: dict[str, np.ndarray] = {}
    for joint in chain.joints:
        places[joint.name] = (places[joint.parent] if joint.parent else np.zeros(3)) + joint.offset
    body = np.stack(list(places.values()))
    points = np.stack([places[site.joint] + np.array(site.offset) for site in chain.keypoints.values()])
    way = np.stack([speed * time, 0 * time, 0.05 * sine], axis=1)[:, None]
    observed = points + way + np.random.default_rng(0).normal(0, 0.01, (frames, len(points), 3))
    observed[:, 0] = np.nan
    dofs = chain.dofs.values()
    rom = np.array([[dof.in_user_unit(end) for end in (dof.lower, dof.upper)] for dof in dofs]).reshape(-1, 2)
    rom[~np.isfinite(rom)] = np.nan
    free = 20 * sine[:, None] + np.zeros(len(rom))
    angle = np.fmin(np.fmax(free, rom[:, 0]), rom[:, 1])
    state = np.select([angle > free, angle < free], [1, 2], 0)
    state[:, [dof.locked for dof in dofs]] = 3
    return xr.Dataset(
        {
            "joint_angle": (("time", "dof"), angle),
            "joint_angle_std": (("time", "dof"), np.ones_like(angle)),
            "joint_position": (("time", "joint", "space"), body + way),
            "keypoint_position": (("time", "keypoint", "space"), points + way),
            "keypoint_observed": (("time", "keypoint", "space"), observed),
            "rom_lower": ("dof", rom[:, 0]),
            "rom_upper": ("dof", rom[:, 1]),
            "bound_state": (("time", "dof"), state.astype("int8")),
        },
        coords={
            "time": time,
            "dof": list(chain.dofs),
            "joint": list(chain.joint_names),
            "keypoint": list(chain.keypoints),
            "space": list("xyz"),
        },
        attrs={"chain_yaml": chain_to_yaml(chain)},
    )


@pytest.fixture
def motion() -> xr.Dataset:
    return make_motion(leg())


@pytest.fixture(scope="module")
def whole_body() -> xr.Dataset:
    return make_motion(load_chain("imvip22"))


def lines(ax) -> dict:
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def cell(ax) -> tuple[int, int]:
    place = ax.get_subplotspec()
    return place.rowspan.start, place.colspan.start


# ---- joint angles ----------------------------------------------------------------------------------
def test_a_row_for_each_joint_right_beside_left_and_no_locked_dof(motion):
    _, axes = plotting.plot_joint_angles(motion)
    assert {name: cell(ax) for name, ax in axes.items()} == {
        "pelvis.x": (0, 0),
        "pelvis.tilt": (0, 1),
        "pelvis.list": (0, 2),
        "pelvis.turn": (1, 0),  # a fourth DOF wraps
        "knee_right.flexion": (2, 0),
        "knee_left.flexion": (2, 3),
    }
    assert axes["knee_left.flexion"].get_title() == "knee_left.flexion"
    assert axes["pelvis.x"].get_ylabel() == "position [m]"
    assert axes["knee_right.flexion"].get_ylabel() == "angle [°]"
    assert axes["knee_right.flexion"].get_xlabel() == "time [s]"


@pytest.mark.parametrize(
    ("right", "left"),
    [("hip_r", "hip_l"), ("right_hip", "left_hip"), ("R_Hip", "L_Hip"), ("HipRight", "HipLeft")],
)
def test_sides_are_told_from_the_name(right, left):
    assert content.side_of(right) == ("hip", "right")
    assert content.side_of(left) == ("hip", "left")


@pytest.mark.parametrize("name", ["pelvis", "skull", "tail", "lumbar", "l", "right", "radius"])
def test_other_names_are_in_the_middle(name):
    assert content.side_of(name) == (name, "middle")


def test_curve_truth_and_frames_at_a_limit(motion):
    truth = motion[["joint_angle"]].isel(time=slice(None, None, 2)) + 1
    figure, axes = plotting.plot_joint_angles(motion, ["knee_right.flexion", "pelvis.tilt"], truth=truth)
    drawn = lines(axes["knee_right.flexion"])
    angle = motion["joint_angle"].sel(dof="knee_right.flexion")
    np.testing.assert_array_equal(drawn["joint angle"].get_ydata(), angle)
    np.testing.assert_array_equal(drawn["truth"].get_ydata(), angle[::2] + 1)
    held = np.isfinite(drawn["at a limit of the range of motion"].get_ydata())
    np.testing.assert_array_equal(held, motion["bound_state"].sel(dof="knee_right.flexion") == 1)
    assert 0 < held.sum() < len(held)
    assert "at a limit of the range of motion" not in lines(axes["pelvis.tilt"])
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "joint angle",
        "range of motion",
        "± 2 standard deviations",
        "truth",
        "at a limit of the range of motion",
    }


def test_a_band_of_two_deviations_lies_around_the_curve(motion):
    spread = 1 + np.arange(motion.sizes["time"]) % 3
    motion["joint_angle_std"] = (("time", "dof"), np.outer(spread, np.ones(motion.sizes["dof"])))
    _, axes = plotting.plot_joint_angles(motion, ["pelvis.tilt"])
    ax = axes["pelvis.tilt"]
    (band,) = (part for part in ax.collections if part.get_label() == "± 2 standard deviations")
    corners = band.get_paths()[0].vertices
    curve = motion["joint_angle"].sel(dof="pelvis.tilt").values
    for time, angle, std in zip(motion["time"].values, curve, spread, strict=True):
        there = corners[np.isclose(corners[:, 0], time), 1]
        assert there.min() == pytest.approx(angle - 2 * std) and there.max() == pytest.approx(angle + 2 * std)
    low, high = ax.get_ylim()
    assert low < (curve - 2 * spread).min() and (curve + 2 * spread).max() < high


def test_y_axis_holds_the_curve_and_only_the_limit_near_it(motion):
    _, axes = plotting.plot_joint_angles(motion, ["knee_right.flexion"])
    low, high = axes["knee_right.flexion"].get_ylim()
    assert -10 < low < 0 and 20 < high < 30  # the limit 0 is in view, the limit 137 is not


def test_noise_is_not_magnified_and_an_empty_curve_has_an_axis(motion):
    motion["joint_angle"].loc[{"dof": "pelvis.tilt"}] = 3 + 1e-3 * np.random.default_rng(1).normal(size=30)
    motion["joint_angle"].loc[{"dof": "knee_left.flexion"}] = np.nan
    _, axes = plotting.plot_joint_angles(motion.drop_vars("joint_angle_std"))
    low, high = axes["pelvis.tilt"].get_ylim()
    assert high - low > 10
    assert axes["knee_left.flexion"].get_ylim()[1] > 137


def test_draws_into_a_given_figure_and_without_optional_variables(motion):
    figure = Figure()
    bare = motion[["joint_angle"]].assign_attrs(motion.attrs)
    assert plotting.plot_joint_angles(bare, figure=figure)[0] is figure


def test_unknown_dof_and_nothing_free_are_refused(motion):
    with pytest.raises(DataError) as error:
        plotting.plot_joint_angles(motion, ["knee_right.flexio"])
    assert str(error.value) == (
        "motion has no degree of freedom 'knee_right.flexio'; did you mean 'knee_right.flexion'?"
    )
    with pytest.raises(DataError) as error:
        plotting.plot_joint_angles(motion.sel(dof=["knee_right.twist"]))
    assert str(error.value) == "motion has no joint angle to draw: every degree of freedom is locked"


# ---- stick figures ---------------------------------------------------------------------------------
def test_key_frames_are_equally_spaced_and_coloured_by_side(motion):
    _, ax = plotting.plot_key_frames(motion, count=4)
    assert [text.get_text() for text in ax.texts] == ["0.00 s", "0.50 s", "0.95 s", "1.45 s"]
    assert len(ax.collections) == 4
    colours = [to_hex(colour).upper() for colour in ax.collections[0].get_colors()]
    right, left = plotting.SIDE_COLOURS["right"], plotting.SIDE_COLOURS["left"]
    assert sorted(colours) == sorted([left, right, right])  # the toe has no side in its name: its joint's


@pytest.mark.parametrize(
    ("frame", "columns", "signs"),
    [
        ({"forward": "z", "left": "x", "up": "y"}, [1, 2, 0], [1, 1, 1]),
        ({"forward": "x", "left": "-y", "up": "-z"}, [0, 1, 2], [1, -1, -1]),
    ],
)
def test_figures_stand_upright_whatever_axis_is_up(motion, frame, columns, signs):
    turned = motion.assign_attrs(chain_yaml=chain_to_yaml(replace(leg(), frame=frame)))
    for name in ("joint_position", "keypoint_position", "keypoint_observed"):
        turned[name] = motion[name].copy(data=motion[name].values[..., columns] * signs)
    joints = scene.scene_of(turned).joints
    np.testing.assert_allclose(joints, scene.scene_of(motion).joints)
    (_, pelvis_up, _), (_, knee_up, _) = joints[0, :2]
    assert pelvis_up > knee_up + 0.3
    assert joints[0, 1, 2] > joints[0, 2, 2]  # the right side is the near one


def test_key_frames_take_an_axes_and_refuse_a_count_below_one(motion):
    ax = Figure().add_subplot()
    assert plotting.plot_key_frames(motion, ax=ax) == (ax.figure, ax)
    with pytest.raises(DataError) as error:
        plotting.plot_key_frames(motion, count=0)
    assert str(error.value) == "count of key frames is 0; possible: 1 or more"


def test_far_measured_points_are_left_out(motion):
    motion["keypoint_observed"][3, 1] = 50.0
    measured = scene.scene_of(motion).measured
    assert np.isnan(measured[3, 1]).all() and np.isfinite(measured[4, 1]).all()


@pytest.mark.parametrize("case", ["one frame", "missing frames", "a missing joint", "all missing", "a dot"])
def test_odd_motions_do_not_break_figures(motion, tmp_path, case):
    if case == "one frame":
        motion = motion.isel(time=[4])
    elif case == "missing frames":
        motion["joint_position"][2:5] = np.nan
    elif case == "a missing joint":
        motion = motion.drop_sel(joint="knee_left").drop_vars(["keypoint_position", "keypoint_observed"])
    elif case == "all missing":
        motion["joint_position"][:], motion["joint_angle"][:] = np.nan, np.nan
    else:
        motion = make_motion(Chain("dot", "made for this test", (Joint("a", None),), {"a": Site("a")}))
    if motion.sizes["dof"]:
        plotting.save_figure(plotting.plot_joint_angles(motion)[0], tmp_path / "a.png", dpi=40)
    plotting.save_figure(plotting.plot_key_frames(motion)[0], tmp_path / "b.png", dpi=40)
    plotting.animate(motion, tmp_path / "c.gif", max_frames=3)
    assert {path.name for path in tmp_path.iterdir()} >= {"b.png", "c.gif"}


# ---- clips -----------------------------------------------------------------------------------------
def seconds(path) -> float:
    with Image.open(path) as image:
        lasts = []
        for i in range(image.n_frames):
            image.seek(i)
            lasts.append(image.info["duration"])
    return sum(lasts) / 1000


@pytest.mark.parametrize(
    ("rate", "frames", "fps"), [(20, 30, None), (100, 150, None), (33.3, 60, 33.3), (9, 9, 9)]
)
def test_clips_keep_real_time(tmp_path, rate, frames, fps):
    motion = make_motion(leg(), frames, rate)
    shown, interval = clip.clip_frames(motion["time"].values, fps, max_frames=20)
    plotting.animate(motion, tmp_path / "clip.gif", fps, max_frames=20)
    assert len(shown) <= 20
    assert seconds(tmp_path / "clip.gif") == pytest.approx(len(shown) * interval)
    assert len(shown) * interval == pytest.approx(frames / rate, abs=2 * interval)


@pytest.mark.parametrize("speed", [0.0, 10.0])  # m/s
def test_a_clip_is_small_and_the_body_in_its_middle_also_when_it_travels_far(tmp_path, speed):
    path = tmp_path / "clip.gif"
    plotting.animate(make_motion(load_chain("imvip22"), frames=20, speed=speed), path)
    with Image.open(path) as image:
        for index in (0, image.n_frames - 1):
            image.seek(index)
            picture = np.asarray(image.convert("RGB")).astype(int)[40:]  # below the legend
            coloured = np.argwhere(np.ptp(picture, axis=2) > 100)[:, 1]
            assert abs(coloured.mean() - image.width / 2) < 0.1 * image.width
    assert path.stat().st_size < 2e5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip.avi", "no clip has the ending '.avi'; possible: .gif, .mp4"),
        ("clip", "no clip has the ending ''; possible: .gif, .mp4"),
        ("clip.mp4", "an .mp4 needs the program ffmpeg, which was not found; write a .gif instead"),
    ],
)
def test_a_clip_that_cannot_be_written_is_refused(motion, tmp_path, monkeypatch, name, message):
    monkeypatch.setenv("PATH", str(tmp_path))  # no ffmpeg here
    with pytest.raises(DataError) as error:
        plotting.animate(motion, tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: {message}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps is 0 Hz; possible: a positive number"),
        ({"fps": float("nan")}, "fps is nan Hz; possible: a positive number"),
        ({"max_frames": 0}, "max_frames is 0; possible: 1 or more"),
    ],
)
def test_unusable_numbers_are_refused(motion, tmp_path, options, message):
    with pytest.raises(DataError) as error:
        plotting.animate(motion, tmp_path / "clip.gif", **options)
    assert str(error.value) == message


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="needs ffmpeg")
def test_mp4(motion, tmp_path):
    plotting.animate(motion, tmp_path / "clip.mp4", max_frames=5)
    assert (tmp_path / "clip.mp4").stat().st_size > 1000


# ---- input and files -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda motion: motion.drop_attrs(),
            "motion has no attribute 'chain_yaml', the text of the chain it was solved with",
        ),
        (
            lambda motion: motion[["joint_angle", "rom_lower"]],
            "motion has no variable 'joint_position'; possible: joint_angle, rom_lower",
        ),
        (
            lambda motion: motion.expand_dims(knee_upper=2),
            "motion: 'joint_position' has dims knee_upper, time, joint, space; "
            "possible: time, joint, space (select one case)",
        ),
        (lambda motion: motion.isel(time=[]), "motion: 'joint_position' has no frames; possible: 1 or more"),
    ],
)
def test_unusable_motions_are_refused(motion, change, message):
    with pytest.raises(DataError) as error:
        plotting.plot_key_frames(change(motion))
    assert str(error.value) == message


@pytest.mark.parametrize(("ending", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_figures_are_written_by_ending(whole_body, tmp_path, ending, head):
    figure, _ = plotting.plot_key_frames(whole_body)
    plotting.save_figure(figure, tmp_path / f"figure{ending}")
    assert (tmp_path / f"figure{ending}").read_bytes().startswith(head)
    assert len(list(tmp_path.iterdir())) == 1


def test_unknown_figure_ending_is_refused(tmp_path):
    with pytest.raises(DataError) as error:
        plotting.save_figure(Figure(), tmp_path / "figure.jpg")
    message = "no figure has the ending '.jpg'; possible: .png, .pdf, .svg"
    assert str(error.value) == f"{tmp_path / 'figure.jpg'}: {message}"


def test_the_shipped_chain_shows_all_its_free_dofs(whole_body):
    _, axes = plotting.plot_joint_angles(whole_body)
    assert set(axes) == set(load_chain("imvip22").free_dofs)


def test_pyplot_and_its_global_state_are_never_loaded():
    code = "import sys, kinepose_ocp.plotting; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
