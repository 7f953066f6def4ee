"""Every file format, there and back, and what each says of files that it cannot use."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import xarray as xr

from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.io import READERS, WRITERS, read_keypoints, read_motion, write
from kinepose_ocp.io.atomic import whole_file
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.layouts import load_layout

NAMES = ["hip_right", "knee_right", "ear"]
POSITION = np.random.default_rng(5).normal(size=(6, 3, 3))


def refused(message, path="{path}", **names):
    return pytest.raises(DataError, match=f"^{re.escape(message.format(path=path, **names))}$")


@pytest.fixture
def keypoints():
    position = POSITION.copy()
    position[2, 1] = np.nan
    confidence = np.linspace(0, 1, 18).reshape(6, 3)
    return make_keypoints(position, NAMES, time=0.3 + np.arange(6) / 60, confidence=confidence)


@pytest.fixture
def motion():
    """A small motion with the kinds of variables that motions have."""
    return xr.Dataset(
        {
            "joint_angle": (("time", "dof"), np.linspace(0, 90, 8).reshape(4, 2), {"units": "degree"}),
            "bound_state": (
                ("time", "dof"),
                np.zeros((4, 2), "int8"),
                {"flag_values": np.arange(4, dtype="int8"), "flag_meanings": "free at_lower at_upper locked"},
            ),
            "bound_multiplier": (("time", "dof"), np.full((4, 2), np.nan), {"units": "degree-1"}),
            "converged": ((), np.int8(1)),
            "solve_seconds": ((), 0.25, {"units": "s"}),
        },
        {"time": ("time", np.arange(4) / 50, {"units": "s"}), "dof": ["knee_right.flexion", "hip_left.é"]},
        {"Conventions": "CF-1.11", "chain_yaml": "schema: 1\n", "history": "", "solver_iterations": 12},
    )


# ---- the tables ------------------------------------------------------------------------------
def test_tables_name_the_formats():
    assert list(READERS) == [".csv", ".nc", ".npz", ".trc", ".txt"]
    assert list(WRITERS) == [".csv", ".nc"]


def test_reading_names_its_source(tmp_path, keypoints):
    path = tmp_path / "pitch.csv"
    write(keypoints, path)
    ds = read_keypoints(str(path))
    assert ds.attrs["source_file"] == "pitch.csv"
    assert ds.attrs["input_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_reading_for_a_chain(tmp_path, keypoints):
    write(keypoints, tmp_path / "pitch.NC")
    ds = read_keypoints(tmp_path / "pitch.NC", chain=load_chain("imvip22"))
    assert list(ds["keypoint"].values) == ["hip_right", "knee_right"]
    assert ds.attrs["ignored_keypoints"] == "ear"
    assert ds.attrs["source_file"] == "pitch.NC"


def test_reading_what_is_not_there(tmp_path, keypoints):
    path = tmp_path / "pich.csv"
    with refused("{path}: no such file; there are none", path):
        read_keypoints(path)
    write(keypoints, tmp_path / "pitch.csv")
    (tmp_path / "notes.md").touch()
    with refused("{path}: no such file; did you mean 'pitch.csv'?", path):
        read_keypoints(path)
    path = tmp_path / "folder" / "pitch.csv"
    with refused("{path}: no such file: there is no folder '{folder}'", path, folder=path.parent):
        read_keypoints(path)
    with refused("{path}: is a folder; give a file ending in .csv, .nc, .npz, .trc, .txt", tmp_path):
        read_keypoints(tmp_path)
    with refused(
        "{path}: cannot read files ending in '.md'; possible: .csv, .nc, .npz, .trc, .txt",
        tmp_path / "notes.md",
    ):
        read_keypoints(tmp_path / "notes.md")
    with refused("{path}: no such file; did you mean 'pitch.nc'?", tmp_path / "pich.nc"):
        write(keypoints, tmp_path / "pitch.nc")
        read_motion(tmp_path / "pich.nc")


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_reading_without_permission(tmp_path, keypoints):
    path = tmp_path / "pitch.csv"
    write(keypoints, path)
    path.chmod(0)
    with refused("{path}: cannot be read: Permission denied", path):
        read_keypoints(path)


@pytest.mark.parametrize("ending", sorted(READERS))
@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01\xfe\xff" * 50, b"time,a_x\n\xff\xfe", b"\x89HDF\r\n\x1a\n" + b"x" * 90]
)
def test_damaged_files_of_every_format(tmp_path, ending, content):
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_keypoints(path, rate=50)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".nc", ".npz", ".trc"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_files(tmp_path, keypoints, ending, part):
    path = tmp_path / f"cut{ending}"
    {".nc": write_nc, ".npz": write_npz, ".trc": write_trc}[ending](path, keypoints)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(DataError) as caught:
        read_keypoints(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def write_nc(path, ds):
    write(ds, path)


def write_npz(path, ds, **change):
    arrays = {
        "position": ds["position"].values,
        "names": ds["keypoint"].values,
        "rate": 60.0,
        "confidence": ds["confidence"].values,
    } | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def write_trc(path, ds, units="mm", rate="60.00", cells=None):
    """A marker file with gaps as empty cells, a blank line 6, trailing tabs and Windows line ends."""
    names = list(ds["keypoint"].values)
    factor = {"mm": 1000, "cm": 100, "m": 1}.get(units, 1)
    rows = [
        [str(i + 1), f"{t:.3f}", *("" if np.isnan(x) else repr(float(x * factor)) for x in frame.ravel())]
        for i, (t, frame) in enumerate(zip(ds["time"].values, ds["position"].values, strict=True))
    ]
    for (row, column), cell in (cells or {}).items():
        rows[row][column] = cell
    header = [
        ["PathFileType", "4", "(X/Y/Z)", "walk.trc"],
        ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate"],
        [rate, rate, str(len(rows)), str(len(names)), units, rate],
        ["Frame#", "Time", *(cell for name in names for cell in (name, "", ""))],
        ["", "", *(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ")],
        [],
    ]
    path.write_text("".join("\t".join(line) + "\t\r\n" for line in header + rows), newline="")


# ---- the sampling rate -----------------------------------------------------------------------
def test_rate_of_the_user_and_of_the_file(tmp_path, keypoints):
    text, archive, table = (tmp_path / f"a{ending}" for ending in (".txt", ".npz", ".csv"))
    np.savetxt(text, np.zeros((17, 3)))
    with refused("{path}: has no sampling rate; give it with --rate (Hz)", text):
        read_keypoints(text)
    for rate in (0, -50, np.nan, np.inf):
        with refused(
            "{path}: a sampling rate of {rate:g} Hz is not possible; it must be above 0", text, rate=rate
        ):
            read_keypoints(text, rate=rate)
    write_npz(archive, keypoints)
    assert read_keypoints(archive, rate=59.94)["time"][-1] == 5 / 60  # the file's own
    write(keypoints, table)
    read_keypoints(table, rate=59.94)
    for path in (archive, table):
        with refused("{path}: the file is sampled at 60 Hz, but the rate given is 50 Hz", path):
            read_keypoints(path, rate=50)
    write_npz(archive, keypoints, rate=0.0)
    with refused("{path}: a sampling rate of 0 Hz is not possible; it must be above 0", archive):
        read_keypoints(archive)


def test_rate_of_times_with_left_out_frames(tmp_path, keypoints):
    path = tmp_path / "gaps.csv"
    write(keypoints.isel(time=[0, 1, 2, 5]), path)
    assert read_keypoints(path, rate=60).sizes["time"] == 4


# ---- KinePose text ---------------------------------------------------------------------------
def test_txt_in_the_order_of_the_layout(tmp_path):
    path = tmp_path / "pitch.txt"
    position = np.random.default_rng(1).normal(size=(5, 17, 3))
    np.savetxt(path, position.reshape(-1, 3), fmt="%.17g")
    ds = read_keypoints(path, rate=50)
    assert list(ds["keypoint"].values) == list(load_layout("h36m17").points)
    np.testing.assert_array_equal(ds["position"], position)
    np.testing.assert_array_equal(ds["time"], np.arange(5) / 50)
    chain = load_chain("imvip22")
    posed = read_keypoints(path, rate=50, chain=chain)
    np.testing.assert_array_equal(posed["position"].sel(keypoint="hip_right"), position[:, 1])
    xr.testing.assert_identical(posed, read_keypoints(path, layout="h36m17", rate=50, chain=chain))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 0\n" * 20, "20 rows are not a multiple of the 17 points of layout 'h36m17'"),
        ("0 0 0\n" * 16 + "\n0 a 0\n", "line 18, column 2: 'a' is not a number"),
        ("0 0 0\n" * 3 + "0 0\n", "line 4: expected 3 numbers (x y z), found 2 values"),
        ("nan nan nan\n" * 17, "no usable point: every position is missing (NaN) or has confidence 0"),
        ("inf 0 0\n" * 17, "position of 'pelvis' at 0 s is infinite; NaN means missing"),
        ("# nothing\n", "there is no frame"),
        (" \n", "the file is empty"),
    ],
)
def test_txt_refused(tmp_path, text, message):
    path = tmp_path / "pitch.txt"
    path.write_text(text)
    with refused("{path}: " + message, path):
        read_keypoints(path, rate=50)


def test_txt_with_unknown_layout(tmp_path):
    path = tmp_path / "pitch.txt"
    path.write_text("0 0 0\n" * 17)
    with pytest.raises(ModelError, match=r"no layout 'h36m71'; did you mean 'h36m17'\?"):
        read_keypoints(path, layout="h36m71", rate=50)


# ---- NumPy archives --------------------------------------------------------------------------
def test_npz(tmp_path, keypoints):
    path = tmp_path / "pitch.npz"
    write_npz(path, keypoints)
    ds = read_keypoints(path)
    xr.testing.assert_equal(ds.drop_vars("time"), keypoints.drop_vars("time"))
    np.testing.assert_array_equal(ds["time"], np.arange(6) / 60)
    write_npz(path, keypoints, names=np.array(NAMES, "S"), rate=None, confidence=None)
    ds = read_keypoints(path, rate=60)
    assert list(ds["keypoint"].values) == NAMES
    np.testing.assert_array_equal(ds["confidence"], keypoints["position"].notnull().all("space"))


def test_npz_without_names_takes_those_of_the_layout(tmp_path):
    path = tmp_path / "pitch.npz"
    np.savez(path, position=np.ones((2, 17, 3)), rate=50)
    assert list(read_keypoints(path, layout="h36m17")["keypoint"].values) == list(
        load_layout("h36m17").points
    )
    np.savez(path, position=np.ones((2, 3, 3)), rate=50)
    with refused("{path}: position has shape (2, 3, 3); 17 names need (frames, 17, 3)", path):
        read_keypoints(path, layout="h36m17")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": None},
         "no array 'position'; needed: position, names, rate; found: names, rate, confidence"),
        ({"position": None, "names": None},
         "no array 'position' and no array 'names'; needed: position, names, rate; found: rate, confidence"),
        ({"rate": None}, "has no sampling rate; give it with --rate (Hz)"),
        ({"rate": [50, 60]}, "rate must be one number [Hz], found int64 of shape (2,)"),
        ({"rate": "fast"}, "rate must be one number [Hz], found <U4 of shape ()"),
        ({"names": [1, 2, 3]}, "names must be a list of text, found int64 of shape (3,)"),
        ({"names": ["a", "b"]}, "position has shape (6, 3, 3); 2 names need (frames, 2, 3)"),
        ({"names": ["a", "b", "a"]}, "keypoint names must be unique; given more than once: a"),
        ({"position": np.zeros((6, 9))}, "position has shape (6, 9); 3 names need (frames, 3, 3)"),
        ({"position": np.full((6, 3, 3), "1")}, "position must be numbers, found <U1"),
        ({"names": np.array(["a", None, 1], object)}, "not a readable .npz archive: Object arrays cannot be "
         "loaded when allow_pickle=False"),
    ],
)  # fmt: skip
def test_npz_refused(tmp_path, keypoints, change, message):
    path = tmp_path / "pitch.npz"
    write_npz(path, keypoints, **change)
    with refused("{path}: " + message, path):
        read_keypoints(path)


def test_npz_that_is_something_else(tmp_path):
    path = tmp_path / "pitch.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(DataError, match=r"not a readable \.npz archive"):
        read_keypoints(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("position.npy", b"\x93NUMPY rubbish")
    with pytest.raises(DataError, match=r"not a readable \.npz archive"):
        read_keypoints(path)


# ---- CSV -------------------------------------------------------------------------------------
def test_csv_there_and_back(tmp_path, keypoints):
    path = tmp_path / "new" / "folder" / "pitch.csv"
    write(keypoints, path)
    assert (
        path.read_text()
        .splitlines()[0]
        .startswith("time,hip_right_x,hip_right_y,hip_right_z,hip_right_c,knee_right_x")
    )
    ds = read_keypoints(path)
    ds.attrs.clear()
    xr.testing.assert_identical(ds, keypoints)
    assert sorted(path.parent.iterdir()) == [path]


def test_csv_of_a_spreadsheet(tmp_path):
    path = tmp_path / "pitch.csv"
    path.write_bytes(
        "\ufefftime, a_x, a_y, a_z, b_c, b_z, b_y, b_x\r\n0,1,2,3,.5,6,5,4\r\n\r\n.1,,,,,6,5,4\r\n".encode()
    )
    ds = read_keypoints(path)
    np.testing.assert_array_equal(ds["position"], [[[1, 2, 3], [4, 5, 6]], [[np.nan] * 3, [4, 5, 6]]])
    np.testing.assert_array_equal(ds["confidence"], [[1, 0.5], [0, 0]])


def test_csv_without_time_needs_a_rate(tmp_path):
    path = tmp_path / "pitch.csv"
    path.write_text("a_x,a_y,a_z\n1,2,3\n4,5,6\n")
    np.testing.assert_array_equal(read_keypoints(path, rate=50)["time"], [0, 0.02])
    with refused("{path}: has no sampling rate; give it with --rate (Hz)", path):
        read_keypoints(path)


SHAPE = "the header is time,NAME_x,NAME_y,NAME_z,[NAME_c],... separated by commas"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("time\n0\n", f"line 1: no point; {SHAPE}"),
        ("time;a_x;a_y;a_z\n0;1;2;3\n", "line 1: unknown column 'time;a_x;a_y;a_z'; " + SHAPE),
        ("time,a_x,a_y,a_z,frame\n", f"line 1: unknown column 'frame'; {SHAPE}"),
        ("time,a_x,a_z\n0,1,3\n", "line 1: no column 'a_y'; each point has NAME_x, NAME_y and NAME_z"),
        ("time,a_x,a_y,a_z,a_x\n", "line 1: columns must be unique; there more than once: a_x"),
        ("time,a_x,a_y,a_z\n", "there is no frame"),
        ("time,a_x,a_y,a_z\n0,1,2,3\n\n1,1,2\n", "line 4: 3 cells, but the header has 4"),
        ("time,a_x,a_y,a_z\n0,1,2,3\n1,1,O,3\n", "line 3, column 3: 'O' is not a number"),
        ("time,a_x,a_y,a_z\n1,1,2,3\n0,1,2,3\n", "time must increase; frame 2 is at 0 s after 1 s"),
        ("time,a_x,a_y,a_z\n0,1,2,3\n,1,2,3\n", "time of frame 2 is not a finite number"),
        ("time,a_x,a_y,a_z\n0,,,\n1,,2,3\n",
         "no usable point: every position is missing (NaN) or has confidence 0"),
        ("time,a_x,a_y,a_z,a_c\n0,1,2,3,95\n", "confidence 95 of 'a' at 0 s is outside 0..1"),
    ],
)  # fmt: skip
def test_csv_refused(tmp_path, text, message):
    path = tmp_path / "pitch.csv"
    path.write_text(text)
    with refused("{path}: " + message, path):
        read_keypoints(path)


def test_csv_holds_keypoints_only(tmp_path, motion):
    path = tmp_path / "motion.csv"
    with pytest.raises(
        DataError, match=rf"^{re.escape(str(path))}: cannot be written: no variable 'position'; "
    ):
        write(motion, path)
    assert list(tmp_path.iterdir()) == []


# ---- TRC -------------------------------------------------------------------------------------
@pytest.mark.parametrize("units", ["mm", "cm", "m"])
def test_trc(tmp_path, keypoints, units):
    path = tmp_path / "walk.trc"
    write_trc(path, keypoints, units)
    ds = read_keypoints(path)
    assert list(ds["keypoint"].values) == NAMES
    np.testing.assert_allclose(ds["position"], keypoints["position"], rtol=1e-15)
    np.testing.assert_allclose(ds["time"], 0.3 + np.arange(6) / 60, rtol=1e-15)  # the file rounds to 1 ms
    assert ds["confidence"][2, 1] == 0 and ds["confidence"].sum() == 17


def test_trc_with_left_out_frames_keeps_its_times(tmp_path, keypoints):
    path = tmp_path / "walk.trc"
    write_trc(path, keypoints.isel(time=[0, 1, 2, 5]), cells={(0, column): "NaN" for column in (2, 3, 4)})
    ds = read_keypoints(path)
    np.testing.assert_allclose(ds["time"], 0.3 + np.array([0, 1, 2, 5]) / 60, rtol=1e-15)
    assert ds["confidence"][0, 0] == 0


def edit(line, old, new):
    def change(text):
        lines = text.splitlines(keepends=True)
        assert old in lines[line - 1]
        lines[line - 1] = lines[line - 1].replace(old, new, 1)
        return "".join(lines)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit(1, "PathFileType", "Path"),
         "not a TRC file: it has 5 lines of header, the first with 'PathFileType'"),
        (edit(2, "DataRate", "Rate"), "lines 2 and 3: no DataRate; "
         "found: Rate, CameraRate, NumFrames, NumMarkers, Units, OrigDataRate"),
        (edit(3, "60.00", "0"), "a sampling rate of 0 Hz is not possible; it must be above 0"),
        (edit(3, "60.00", "sixty"), "line 3, column 1: 'sixty' is not a number"),
        (edit(3, "60.00", "100"), "the times run at 60.241 Hz, but DataRate (line 3) is 100 Hz"),
        (edit(3, "\t6\t", "\t7\t"), "6 frames, but NumFrames (line 3) is 7"),
        (edit(3, "\t6\t", "\tsix\t"), "line 3: NumFrames is 'six', not a whole number"),
        (edit(3, "\t3\t", "\t4\t"),
         "line 4: 3 marker names, but NumMarkers (line 3) is 4; names are three tabs apart"),
        (edit(3, "mm", "inch"), "line 3: Units is 'inch'; possible: m, cm, mm"),
        (edit(4, "ear", "hip_right"), "keypoint names must be unique; given more than once: hip_right"),
        (edit(8, "\t0.317", ""), "line 8: a marker has only some of X, Y and Z; is a column missing?"),
        (edit(8, "\t0.317\t", ""), "line 8: 10 columns; frame, time and markers need 11"),
        (edit(8, "\t0.317\t", "\t0.317\t1\t2\t"), "line 8: 14 columns; frame, time and markers need 11"),
        (edit(8, "0.317", "o.317"), "line 8, column 2: 'o.317' is not a number"),
        (edit(8, "0.317", ""), "time of frame 2 is not a finite number"),
        (edit(8, "0.317", "0.2"), "time must increase; frame 2 is at 0.2 s after 0.3 s"),
    ],
)  # fmt: skip
def test_trc_refused(tmp_path, keypoints, change, message):
    path = tmp_path / "walk.trc"
    write_trc(path, keypoints)
    path.write_bytes(change(path.read_bytes().decode()).encode())
    with refused("{path}: " + message, path):
        read_keypoints(path)


# ---- NetCDF ----------------------------------------------------------------------------------
def test_nc_there_and_back(tmp_path, keypoints, motion):
    write(keypoints, tmp_path / "keypoints.nc")
    ds = read_keypoints(tmp_path / "keypoints.nc")
    del ds.attrs["source_file"], ds.attrs["input_sha256"]
    xr.testing.assert_identical(ds, keypoints)
    write(motion, tmp_path / "motion.nc")
    read = read_motion(tmp_path / "motion.nc")
    xr.testing.assert_identical(read, motion)
    assert read["bound_state"].dtype == "int8"
    assert read["joint_angle"].encoding["zlib"] and 1 <= read["joint_angle"].encoding["complevel"] <= 4
    write(read, tmp_path / "again.nc")
    xr.testing.assert_identical(read_motion(tmp_path / "again.nc"), motion)


def test_nc_read_by_an_independent_library(tmp_path, motion):
    pytest.importorskip("h5py")
    pytest.importorskip("h5netcdf")
    write(motion, tmp_path / "motion.nc")
    ds = xr.load_dataset(tmp_path / "motion.nc", engine="h5netcdf", decode_times=False)
    xr.testing.assert_identical(ds, motion)


def test_nc_of_the_movement_package(tmp_path):
    path = tmp_path / "walk.nc"
    frames = xr.Dataset(
        {"position": (("time", "space", "keypoints", "individuals"), POSITION.transpose(0, 2, 1)[..., None])},
        {"time": np.arange(6), "space": ["x", "y", "z"], "keypoints": NAMES, "individuals": ["id_0"]},
        {"time_unit": "frames"},
    )
    frames.to_netcdf(path)
    with refused("{path}: has no sampling rate; give it with --rate (Hz)", path):
        read_keypoints(path)
    ds = read_keypoints(path, rate=50)
    np.testing.assert_allclose(ds["time"], np.arange(6) / 50, rtol=1e-15)
    np.testing.assert_array_equal(ds["position"], POSITION)
    frames.assign_coords(time=np.arange(6) / 50).assign_attrs(time_unit="seconds").to_netcdf(path)
    np.testing.assert_array_equal(read_keypoints(path)["position"], POSITION)
    with refused("{path}: the file is sampled at 50 Hz, but the rate given is 60 Hz", path):
        read_keypoints(path, rate=60)


def test_nc_of_another_kind(tmp_path, keypoints, motion):
    write(motion, tmp_path / "motion.nc")
    write(keypoints, tmp_path / "keypoints.nc")
    with pytest.raises(DataError, match=r"motion.nc: no variable 'position'; "):
        read_keypoints(tmp_path / "motion.nc")
    with refused("{path}: not a motion: no variable 'joint_angle'; its variables: position, confidence",
                 tmp_path / "keypoints.nc"):  # fmt: skip
        read_motion(tmp_path / "keypoints.nc")


@pytest.mark.parametrize("value", [True, np.True_, None, {"a": 1}, [True], [[1], [2]], b"x", 1j, np.eye(2)])
def test_nc_refuses_attributes_that_it_cannot_hold(tmp_path, motion, value):
    path = tmp_path / "motion.nc"
    motion["joint_angle"].attrs["smooth"] = value
    with refused(
        "{path}: cannot be written: attribute 'smooth' of variable 'joint_angle' is {value!r}; "
        "NetCDF attributes are text, a number or a list of numbers",
        path,
        value=value,
    ):
        write(motion, path)
    with pytest.raises(DataError, match="attribute 'smooth' of the dataset is"):
        write(xr.Dataset(attrs={"smooth": value}), path)
    assert list(tmp_path.iterdir()) == []


def test_nc_refuses_variables_that_it_cannot_hold(tmp_path):
    with pytest.raises(DataError, match=r"mixed.nc: cannot be written as NetCDF: "):
        write(xr.Dataset({"a": ("time", np.array([{}, None], object))}), tmp_path / "mixed.nc")
    assert list(tmp_path.iterdir()) == []


def test_writing_another_ending(tmp_path, motion):
    with refused("{path}: cannot write files ending in '.xyz'; possible: .csv, .nc", tmp_path / "m.xyz"):
        write(motion, tmp_path / "m.xyz")


# ---- whole or not at all ---------------------------------------------------------------------
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), RecursionError("deep")])
def test_whole_file_leaves_nothing_on_errors(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(type(error)), whole_file(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path and temporary.suffix == ".txt" and temporary.name.startswith(".")
        raise error
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "before"


def test_whole_file_replaces_and_keeps_links_and_mode(tmp_path):
    path, link = tmp_path / ("n" * 240 + ".txt"), tmp_path / "link.txt"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    with whole_file(link) as temporary:
        temporary.write_text("after")
    assert link.is_symlink() and path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(list(tmp_path.iterdir())) == 2


def test_whole_file_says_why_not(tmp_path):
    (tmp_path / "folder.nc").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "device.nc").symlink_to(os.devnull)
    for name, reason in [
        ("folder.nc", "Is a directory"),
        ("file/a.nc", "Not a directory"),
        ("device.nc", "Not a regular file"),
        ("n" * 300 + ".nc", "File name too long"),
    ]:
        with refused("{path}: cannot be written: {reason}", tmp_path / name, reason=reason):
            write(xr.Dataset({"a": 1.0}), tmp_path / name)
    with refused("{path}: cannot be written: NetCDF: HDF error (is the disk full?)", tmp_path / "a.nc"):
        with whole_file(tmp_path / "a.nc"):
            raise RuntimeError("NetCDF: HDF error")
    assert len(list(tmp_path.iterdir())) == 3


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from kinepose_ocp.io.atomic import whole_file, whole_folder
from kinepose_ocp.terminal import ends_at_once
place = Path(sys.argv[1])
with ends_at_once(), whole_folder(place / "folder") as folder, whole_file(place / "a.nc") as temporary:
    temporary.write_text("half")
    (folder / "part.ply").write_text("half")
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    (tmp_path / "a.nc").write_text("an earlier result")
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)], capture_output=True, text=True)
    assert ended.returncode == 130
    assert ended.stderr == "kinepose-ocp: interrupted; nothing was written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]
    assert (tmp_path / "a.nc").read_text() == "an earlier result"


LARGE = """
import sys
import numpy as np
import xarray as xr
from kinepose_ocp.io import write
noise = np.random.default_rng(0).normal(size=(int(sys.argv[2]), 1000))
ds = xr.Dataset({f"joint_angle_{i}": (("time", "dof"), noise) for i in range(int(sys.argv[3]))})
print("writing", flush=True)
write(ds, sys.argv[1])
"""


@pytest.mark.parametrize("before", [None, "the previous result"])
def test_a_killed_process_leaves_no_broken_file(tmp_path, before):
    path = tmp_path / "large.nc"
    if before:
        path.write_text(before)
    process = subprocess.Popen(
        [sys.executable, "-c", LARGE, str(path), "1000", "100"], stdout=subprocess.PIPE
    )
    try:
        process.stdout.readline()
        deadline = time.monotonic() + 60
        while not any(entry.stat().st_size > 1_000_000 for entry in tmp_path.glob(".large*")):
            assert process.poll() is None and time.monotonic() < deadline, "it was never seen half written"
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
    finally:
        process.kill()
        process.stdout.close()
    assert len(list(tmp_path.glob(".large*.nc"))) == 1  # killed half way
    assert path.exists() == bool(before)
    assert not before or path.read_text() == before


@pytest.mark.parametrize("ending", [".nc", ".csv"])
def test_a_full_disk_is_one_clear_line(tmp_path, ending):
    """The limit on the size of a file stands for the disk: the same calls fail."""
    resource = pytest.importorskip("resource")
    path = tmp_path / f"large{ending}"
    code = """
import resource, sys
import numpy as np
from kinepose_ocp.errors import DataError
from kinepose_ocp.io import write
from kinepose_ocp.keypoints import make_keypoints
ds = make_keypoints(np.random.default_rng(0).normal(size=(3000, 40, 3)), range(40), rate=50)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    write(ds, sys.argv[1])
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert resource and done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(f"{path}: cannot be written: ") and done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
