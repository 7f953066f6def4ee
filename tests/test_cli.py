"""The command line as users meet it: real files, real arguments, exit status, both streams."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from bad_inputs import BAD_INPUTS, LEG, NAMES, RATE, STANDING, leg_motion, write_good_inputs

from kinepose_ocp import cli, smoothing, solvers
from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.io import write
from kinepose_ocp.synthetic import measure, random_motion

PROGRAM = [sys.executable, "-m", "kinepose_ocp"]


@pytest.fixture(scope="session")
def good_inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_good_inputs(folder)
    return folder


@pytest.fixture
def folder(good_inputs, tmp_path, monkeypatch):
    """A folder of good inputs, to work in."""
    shutil.copytree(good_inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command line in this process: exit status, standard output, standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit.value.code, out, err

    return run


def contents(folder):
    """Every file below a folder, hidden ones too, with its bytes; folders and devices have none."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# ---- what is refused -----------------------------------------------------------------------------
@pytest.mark.parametrize("bad", BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_input_is_refused_in_one_line(bad, folder, run):
    bad.make(folder)
    before = contents(folder)
    assert run(*bad.arguments) == (2, "", f"kinepose-ocp: {bad.says}\n")
    assert contents(folder) == before, "something was written"


@pytest.mark.parametrize("name", ["all missing", "too few keypoints", "all locked", "plot of keypoints"])
def test_an_earlier_result_survives_a_refusal(name, folder, run):
    bad = BAD_INPUTS[name]
    bad.make(folder)
    earlier = folder / bad.arguments[bad.arguments.index("-o") + 1]
    earlier.write_text("an earlier result")
    assert run(*bad.arguments)[0] == 2
    assert earlier.read_text() == "an earlier result"


@pytest.mark.parametrize("name", ["no such file", "inverted rom", "all missing"])
def test_a_process_says_the_same(name, folder):
    bad = BAD_INPUTS[name]
    bad.make(folder)
    before = contents(folder)
    done = subprocess.run([*PROGRAM, *bad.arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"kinepose-ocp: {bad.says}\n")
    assert contents(folder) == before


@pytest.mark.skipif(shutil.which("ffmpeg") is not None, reason="ffmpeg is installed")
def test_an_mp4_without_ffmpeg_is_refused(folder, run):
    found = run("animate", "true.nc", "-o", "out.mp4")
    message = "out.mp4: an .mp4 needs the program ffmpeg, which was not found; write a .gif instead"
    assert found == (2, "", f"kinepose-ocp: {message}\n")
    assert not (folder / "out.mp4").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_protected_folder_is_refused_before_the_work(folder, run):
    (folder / "closed").mkdir(mode=0o555)
    found = run("solve", "no.csv", "-o", "closed/out.nc")
    assert found == (2, "", "kinepose-ocp: closed/out.nc: cannot be written: Permission denied\n")


# ---- what is solved ------------------------------------------------------------------------------
def solved(run, *arguments):
    """Solve to out.nc without a word on standard error, and read the result."""
    status, out, err = run("solve", *arguments, "-o", "out.nc")
    assert (status, err) == (0, "")
    assert "out.nc" in out
    assert "\x1b" not in out
    return read("out.nc")


def read(path, engine="netcdf4"):
    return xr.load_dataset(path, engine=engine, decode_times=False)


# schema, "Motion": dims and units of every variable of a solved motion
SCHEMA = {
    "joint_angle": ("time dof", "degree"),
    "joint_velocity": ("time dof", "degree s-1"),
    "root_position": ("time space", "m"),
    "joint_position": ("time joint space", "m"),
    "orientation_local": ("time joint quaternion", "1"),
    "orientation_global": ("time joint quaternion", "1"),
    "angular_velocity": ("time joint space", "degree s-1"),
    "link_error": ("time link", "degree"),
    "keypoint_position": ("time keypoint space", "m"),
    "keypoint_observed": ("time keypoint space", "m"),
    "rom_lower": ("dof", "degree"),
    "rom_upper": ("dof", "degree"),
    "bound_state": ("time dof", "1"),
    "bound_multiplier": ("time dof", "degree-1"),
    "cost": ("term", "1"),
    "solver_iterations": ("", None),
    "solve_seconds": ("", "s"),
    "converged": ("", None),
}
ATTRIBUTES = (
    "title source history chain_yaml kinepose_ocp_version casadi_version solver solver_status input_sha256"
)


def check_schema(motion, frames):
    for name, (dims, units) in SCHEMA.items():
        assert motion[name].dims == tuple(dims.split()), name
        assert motion[name].attrs.get("units") == units, name
    for name in ATTRIBUTES.split():
        assert isinstance(motion.attrs[name], str) and motion.attrs[name], name
    assert motion.attrs["Conventions"] == "CF-1.11"
    assert re.fullmatch("[0-9a-f]{64}", motion.attrs["input_sha256"])
    assert list(motion.space.values) == ["x", "y", "z"]
    assert list(motion["quaternion"].values) == ["w", "x", "y", "z"]
    assert (motion.time.dtype, motion.time.attrs["units"]) == (np.float64, "s")
    np.testing.assert_allclose(motion.time, np.arange(frames) / RATE, atol=1e-12)
    state = motion.bound_state
    assert (state.dtype, motion.converged.dtype) == (np.int8, np.int8)
    assert list(state.attrs["flag_values"]) == [0, 1, 2, 3]
    assert state.attrs["flag_meanings"] == "free at_lower at_upper locked"
    assert (state.sel(dof="knee.twist") == 3).all()
    np.testing.assert_allclose(motion.joint_angle.sel(dof="knee.twist"), 5)
    chain = chain_from_yaml(motion.attrs["chain_yaml"])
    assert list(motion.joint.values) == list(chain.joint_names)
    assert list(motion["keypoint"].values) == list(chain.keypoints) == NAMES
    assert [name for name, dof in chain.dofs.items() if not dof.translates] == list(motion.dof.values)
    for name in ("orientation_local", "orientation_global"):
        np.testing.assert_allclose(np.square(motion[name]).sum("quaternion"), 1, atol=1e-9)
    assert np.isfinite(motion.joint_angle).all()


@pytest.mark.parametrize("source", ["leg.npz", "leg.csv", "leg.nc"])
def test_a_motion_is_found_from_every_format(source, folder, run):
    motion = solved(run, source, "--model", "leg.yaml")
    check_schema(motion, frames=8)
    assert motion.converged == 1
    truth = read("true.nc")
    np.testing.assert_allclose(motion.joint_angle, truth.joint_angle, atol=3)  # smoothing, at the ends
    np.testing.assert_allclose(motion.keypoint_position, truth.keypoint_position, atol=0.01)
    assert run("plot", "out.nc", "-o", "angles.png", "--truth", "true.nc") == (0, "", "")
    assert run("animate", "out.nc", "-o", "clip.gif") == (0, "", "")
    assert (folder / "angles.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "clip.gif").read_bytes().startswith(b"GIF8")


@pytest.mark.parametrize("frames", [1, 8])
def test_sensitivities_are_written(frames, folder, run):
    write(measure(leg_motion()).isel(time=slice(frames)), folder / "clip.csv")
    motion = solved(
        run, "clip.csv", "--model", "leg.yaml", "--sensitivities", *([] if frames > 1 else ["--rate", "50"])
    )
    assert motion.angle_per_bound.sizes["dof"] == motion.sizes["dof"]
    assert motion.sizes["bound"] == motion.cost_per_bound.size
    assert np.isfinite(motion.angle_per_length).all() and motion.sizes["segment"] > 0
    assert (motion.angle_per_noise.sel(dof="knee.twist") == 0).all()  # locked


@pytest.mark.parametrize("solver", ["ipopt", "sqp", "newton"])
@pytest.mark.parametrize("frames", [1, 2, 8])
def test_every_solver_finds_the_same_motion_of_any_length(solver, frames, folder, run):
    write(measure(leg_motion()).isel(time=slice(frames)), folder / "clip.csv")
    motion = solved(run, "clip.csv", "--model", "leg.yaml", "--solver", solver, "--smoothness", 1e5)
    check_schema(motion, frames)
    assert motion.attrs["solver"] == solver
    truth = read("true.nc").isel(time=slice(frames))
    np.testing.assert_allclose(motion.joint_angle, truth.joint_angle, atol=0.1)


def test_frame_by_frame(folder, run):
    motion = solved(run, "leg.npz", "--model", "leg.yaml", "--mode", "frame")
    check_schema(motion, frames=8)
    assert motion.attrs["solver"] == "ipopt, frame by frame"
    np.testing.assert_allclose(motion.joint_angle, read("true.nc").joint_angle, atol=0.01)


def test_lengths_of_the_subject_or_of_the_chain(folder, run):
    small = measure(leg_motion()).assign(position=lambda ds: 0.8 * ds.position)
    write(small, folder / "small.nc")
    estimated = solved(run, "small.nc", "--model", "leg.yaml")
    given = solved(run, "small.nc", "--model", "leg.yaml", "--lengths", "model")
    check_schema(given, frames=8)

    def shank(motion):
        ends = motion.joint_position.sel(joint="ankle") - motion.joint_position.sel(joint="knee")
        return np.sqrt(np.square(ends).sum("space"))

    np.testing.assert_allclose(shank(given), 0.41, atol=1e-9)
    np.testing.assert_allclose(shank(estimated), 0.8 * 0.41, rtol=0.01)


def test_a_root_that_does_not_translate_and_points_that_coincide(folder, run):
    (folder / "standing.yaml").write_text(STANDING)
    keypoints = measure(leg_motion())
    keypoints.position.loc[{"keypoint": "hip"}] = keypoints.position.sel(keypoint="pelvis", drop=True)
    write(keypoints, folder / "flat.nc")
    motion = solved(run, "flat.nc", "--model", "standing.yaml", "--lengths", "model")
    check_schema(motion, frames=8)
    assert np.isfinite(motion.bound_multiplier).all()


def test_gaps_and_unknown_points(folder, run):
    keypoints = measure(leg_motion()).assign_coords(keypoint=["pelvis", "spine", "hip", "knee", "tail"])
    keypoints.position[2:4, 3] = np.nan
    write(keypoints, folder / "gaps.csv")
    status, _, err = run("solve", "gaps.csv", "--model", "leg.yaml", "-o", "out.nc")
    assert (status, err) == (0, "note: points that chain 'leg' does not have are ignored: tail\n")
    motion = read("out.nc")
    check_schema(motion, frames=8)
    assert motion.keypoint_observed.sel(keypoint="ankle").isnull().all()
    assert motion.keypoint_observed.sel(keypoint="knee").isnull().any("space").sum() == 2


def test_both_netcdf_libraries_read_the_same(folder, run):
    one = solved(run, "leg.npz", "--model", "leg.yaml")
    other = read("out.nc", engine="h5netcdf")
    xr.testing.assert_identical(one, other)


def test_the_input_is_identified(folder, run):
    motion = solved(run, "leg.npz", "--model", "leg.yaml")
    listed = subprocess.run(["sha256sum", "leg.npz"], capture_output=True, text=True, check=True).stdout
    assert motion.attrs["input_sha256"] == listed.split()[0]
    assert motion.attrs["source_file"] == "leg.npz"


def test_a_process_is_quiet_when_piped(folder):
    arguments = ["solve", "leg.csv", "--model", "leg.yaml", "-o", "new/folder/out.nc"]
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    check_schema(read(folder / "new/folder/out.nc"), frames=8)


def test_convert_there_and_back(folder, run):
    assert run("convert", "leg.csv", "copy.nc") == (0, "", "")
    assert run("convert", "copy.nc", "copy.csv") == (0, "", "")
    assert (folder / "copy.csv").read_text() == (folder / "leg.csv").read_text()


def test_models(folder, run):
    status, out, err = run("models", "list")
    assert (status, err) == (0, "")
    assert "fullbody: " in out and "imvip22: " in out and "h36m17" in out
    assert run("models", "check", "leg.yaml") == (
        0,
        "leg.yaml: in order: 4 joints, 8 free DOFs, 4 links\n",
        "",
    )
    status, out, err = run("models", "show", "leg.yaml")
    assert (status, err) == (0, "")
    assert "-20 .. 120" in out and "made up for the tests" in out


@pytest.mark.parametrize("command", [[], ["solve"], ["plot"], ["animate"], ["convert"], ["models"]])
def test_help_shows_what_is_possible(command, run):
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert "Usage: kinepose-ocp" in out


def test_help_shows_units_and_defaults(run):
    help = " ".join(run("solve", "--help")[1].split())
    for part in ("[Hz]", "degree/s2", "default: auto", "default: fullbody", "default: motion.nc", "metres"):
        assert part in help, part


# ---- what does not end well ----------------------------------------------------------------------
def test_no_convergence_still_writes_the_last_iterate(folder, run, monkeypatch):
    monkeypatch.setattr(smoothing, "FOLLOWED", 0)  # points without noise would start at the solution
    monkeypatch.setattr(solvers, "APPROACH", 0)
    monkeypatch.setattr(solvers, "WARM_OPTIONS", {"max_iter": 0})
    monkeypatch.setitem(solvers.IPOPT_OPTIONS, "max_iter", 0)
    (folder / "out.nc").write_text("an earlier result")
    assert run("solve", "leg.csv", "--model", "leg.yaml", "-o", "out.nc") == (
        3,
        "",
        "kinepose-ocp: ipopt did not converge: stopped at the iteration limit after 0 iterations; "
        "its last iterate is in out.nc, converged = 0\n",
    )
    motion = read("out.nc")
    check_schema(motion, frames=8)
    assert motion.converged == 0
    assert motion.attrs["solver_status"] == "stopped at the iteration limit"


def test_no_convergence_of_single_frames(folder, run, monkeypatch):
    monkeypatch.setattr(solvers, "APPROACH", 1)
    monkeypatch.setattr(solvers, "WARM_OPTIONS", {"max_iter": 1})
    monkeypatch.setitem(solvers.IPOPT_OPTIONS, "max_iter", 1)
    status, _, err = run("solve", "leg.csv", "--model", "leg.yaml", "-o", "out.nc", "--mode", "frame")
    assert (status, err.count("\n")) == (3, 1)
    assert re.match(r"kinepose-ocp: ipopt did not converge in \d of 8 frames: ", err)
    assert read("out.nc").converged == 0


@pytest.mark.parametrize("solver", ["ipopt", "sqp"])
def test_ctrl_c_ends_a_long_solve_and_writes_nothing(solver, folder):
    """Inside CasADi an exception would get lost, or pass for a failure of the solver."""
    motion = random_motion(chain_from_yaml(LEG), 3000, RATE, seed=1)
    write(measure(motion, noise=0.02), folder / "long.nc")
    (folder / "out.nc").write_text("an earlier result")
    before = contents(folder)
    arguments = ["solve", "long.nc", "--model", "leg.yaml", "-o", "out.nc", "--solver", solver]
    terminal, stderr = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=stderr)
    os.close(stderr)
    shown = until(b"step ", terminal)  # the progress of a terminal tells when the solver is at work
    assert b"solving 3000 frames: " in shown
    process.send_signal(signal.SIGINT)
    shown = until(None, terminal)
    assert process.wait(60) == 130
    assert process.stdout.read() == b""
    assert shown.endswith(b"\x1b[2K\x1b[?25hkinepose-ocp: interrupted; nothing was written\r\n")
    assert contents(folder) == before


def until(wanted, terminal):
    """Read a terminal until it shows what is wanted, or to its end."""
    shown = b""
    while wanted is None or wanted not in shown:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # how Linux tells that no process holds the other side
            part = b""
        if not part:
            break
        shown += part
    assert wanted is None or wanted in shown, shown
    return shown
