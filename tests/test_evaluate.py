"""The evaluation: its result, its report, its exit status; clips of measured motion."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from kinepose_ocp import cli
from kinepose_ocp.cases import QUICK
from kinepose_ocp.clips import clip_files, read_clip, segment_errors
from kinepose_ocp.errors import DataError
from kinepose_ocp.evaluate import METRICS, Row, _dataset, evaluate, missed
from kinepose_ocp.evaluation_report import markdown, write_report


def row(case, value, limit, **more):
    return Row(case, f"what {case} is for", 10, 1000, value, limit, **more)


@pytest.fixture
def result():
    """Three results: passed, missed, and without limits."""
    errors = {"mpjas_global": 2.0, "mpjas_local": 3.0, "not_converged": 0.0}
    return _dataset(
        [
            row("noise-5", errors, {"mpjas_global": 4.0}, family="noise [mm]", level=5.0),
            row("noise-9", errors, {"mpjas_local": 2.5}, family="noise [mm]", level=9.0),
            row("clip", errors, {}),
        ]
    )


# ---- the result ----------------------------------------------------------------------------------
def test_limits_decide(result):
    assert missed(result) == ["noise-9"]
    assert result.sizes == {"case": 3, "metric": len(METRICS)}


def test_a_limited_number_that_is_missing_is_a_miss():
    assert missed(_dataset([row("a", {}, {"mpjas_global": 4.0})])) == ["a"]


def test_the_table_says_by_how_much(result):
    text = markdown(result)
    assert "2 of 3 cases" not in text
    assert "1 of 2 cases with stated limits pass; 1 do not: noise-9." in text
    assert "mpjas_global 2.0 of 4 (50 % left)" in text
    assert "MISSED mpjas_local: 3 > 2.5" in text
    assert "none stated" in text
    assert "* **clip**: what clip is for." in text


def test_the_page_is_whole_by_itself(result, tmp_path):
    write_report(result, tmp_path, "kinepose-ocp evaluate <here>")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # all cases, and the family
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "kinepose-ocp evaluate &lt;here&gt;" in page
    assert "numpy_version" in page
    assert {path.name for path in tmp_path.iterdir()} == {
        "evaluation.nc",
        "table.md",
        "report.html",
        "mpjas.png",
        "noise.png",
    }


# ---- the command ---------------------------------------------------------------------------------
def run(*arguments):
    with pytest.raises(SystemExit) as exit:
        cli.main([str(argument) for argument in arguments])
    return exit.value.code


def test_quick_evaluation(tmp_path, capsys):
    status = run("evaluate", "--quick", "-o", tmp_path)
    out, err = capsys.readouterr()
    result = xr.load_dataset(tmp_path / "evaluation.nc")
    assert sorted(result["case"].values) == sorted(QUICK)
    assert status == (1 if missed(result) else 0)
    assert "cases with stated limits pass" in out
    assert err == ""
    value = result["value"]
    assert np.isfinite(value.sel(metric=["mpjas_global", "mpjas_local", "over_90", "milliseconds"])).all()
    assert (value.sel(metric="rom_violation") < 0.01).all()
    assert float(value.sel(case="swapped-imvip22", metric="mirror_wrong")) == 0


def test_a_wrong_case_is_refused(tmp_path, capsys):
    assert run("evaluate", "--cases", "genral", "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err == "kinepose-ocp: no case 'genral'; did you mean 'general'?\n"
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_of_clips_is_refused(tmp_path, capsys):
    assert run("evaluate", "--cases", "one-frame", "--data", tmp_path / "none", "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"kinepose-ocp: {tmp_path}/none: no such folder of clips\n"


# ---- clips ---------------------------------------------------------------------------------------
def write_clip(path: Path, **changed):
    """A trunk with two legs whose knees bend, 12 frames at 30 Hz, y up and z forward."""
    names = ["root", "r_hip", "r_knee", "l_hip", "l_knee"]
    offset = np.array([[0, 0, 0], [-0.1, 0, 0], [0, -0.4, 0], [0.1, 0, 0], [0, -0.4, 0]], dtype=float)
    parents = np.array([-1, 0, 1, 0, 3])
    frames, half = 12, np.linspace(0.2, 0.6, 12)
    orientation = np.tile([1.0, 0, 0, 0], (frames, 5, 1))
    bent = np.stack([np.cos(half), np.sin(half), 0 * half, 0 * half], axis=1)  # backwards about +x
    orientation[:, 2] = orientation[:, 4] = bent
    joint = np.tile(offset, (frames, 1, 1))
    joint[:, 2] += offset[1]
    joint[:, 4] += offset[3]
    shank = np.stack([0 * half, -0.4 * np.cos(2 * half), -0.4 * np.sin(2 * half)], axis=1)
    points = {"pelvis": (0, [0, 0.02, 0]), "neck_base": (0, [0, 0.5, 0]), "head_top": (0, [0, 0.7, 0.05])}
    points |= {
        f"{s}_{name}": (j, [0, 0, 0])
        for s, start in (("r", 1), ("l", 3))
        for name, j in [("hip", start), ("knee", start + 1)]
    }
    points |= {"r_ankle": (2, [0, -0.4, 0]), "l_ankle": (4, [0, -0.4, 0])}
    place = np.stack(
        [
            joint[:, j] + (shank if name.endswith("ankle") else np.array(local))
            for name, (j, local) in points.items()
        ],
        axis=1,
    )
    content = dict(
        schema="kinepose-mocap-1", name="legs", fps=30.0, joint_names=names, parents=parents,
        rest_offset=offset,
        joint_type=["free", "ball", "hinge", "ball", "hinge"],
        hinge_axis=np.array([[np.nan] * 3, [np.nan] * 3, [1, 0, 0], [np.nan] * 3, [1, 0, 0]]),
        global_q=orientation, kp_joint=[j for j, _ in points.values()],
        kp_local=np.array([local for _, local in points.values()], dtype=float), kp_pos=place,
        h36m_names=list(points), h36m_kp=np.arange(len(points)),
        seg_names=["pelvis", "r_thigh", "r_shank", "l_thigh", "l_shank"], seg_joint=np.arange(5),
        obs_h36m17=["full", "hinge", "hinge", "hinge", "hinge"], source="made for a test", up_axis="y",
        forward="rest pose faces +z, left=+x",
    )  # fmt: skip
    np.savez(path, **{name: value for name, value in (content | changed).items() if value is not None})


def test_a_clip_becomes_chain_points_and_truth(tmp_path):
    write_clip(tmp_path / "legs.npz")
    clip = read_clip(tmp_path / "legs.npz")
    assert list(clip.chain.free_dofs)[3:6] == ["root.yaw", "root.roll", "root.pitch"]
    knee = clip.chain.dofs["r_knee.flexion"]
    np.testing.assert_allclose(np.degrees([knee.lower, knee.upper]), [-5, 150])
    np.testing.assert_allclose(knee.axis, [0, 1, 0], atol=1e-12)  # the left, once x is forward and z up
    np.testing.assert_allclose(clip.chain.keypoints["pelvis"].offset, 0, atol=1e-12)  # not off the hip line
    ankle = clip.keypoints["position"].sel(keypoint="r_ankle").values[0]
    np.testing.assert_allclose(ankle, [-0.4 * np.sin(0.4), -0.1, -0.4 - 0.4 * np.cos(0.4)], atol=1e-9)
    bend = clip.truth["joint_angle"].sel(dof="r_knee.flexion")
    np.testing.assert_allclose(bend, np.degrees(np.linspace(0.4, 1.2, 12)), atol=1e-9)
    truth = segment_errors(clip, clip.truth)
    assert truth["mpjas_global"] == truth["mpjas_hinge"] == pytest.approx(0, abs=1e-5)


def test_a_clip_is_a_row(tmp_path):
    write_clip(tmp_path / "legs.npz")
    result = evaluate(["one-frame"], data=tmp_path)
    assert list(result["case"].values) == ["one-frame", "legs"]
    value = result["value"].sel(case="legs")
    assert float(value.sel(metric="mpjas_full")) < 2
    assert float(value.sel(metric="mpjas_hinge")) < 5
    assert result["limit"].sel(case="legs").isnull().all()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"seg_joint": None},
            "not a clip of schema kinepose-mocap-1: no array 'seg_joint'; did you mean 'kp_joint'?",
        ),
        ({"schema": "other-2"}, "its schema is 'other-2'; possible: 'kinepose-mocap-1'"),
        (
            {"up_axis": "w"},
            "axes up 'w', forward 'rest pose faces +z, left=+x'; possible: such as '+y' and '-x'",
        ),
    ],
)
def test_a_file_that_is_no_clip_is_refused(tmp_path, changed, text):
    path = tmp_path / "legs.npz"
    write_clip(path, **changed)
    with pytest.raises(DataError) as error:
        read_clip(path)
    assert str(error.value) == f"{path}: {text}"


def test_a_damaged_clip_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"a\.npz: not a readable NumPy archive \("):
        read_clip(tmp_path / "a.npz")


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(DataError) as error:
        clip_files(tmp_path)
    expected = "no clips in this folder; possible: .npz files of schema kinepose-mocap-1"
    assert str(error.value) == f"{tmp_path}: {expected}"
