"""Study files: what they make, what is refused, and how the command line runs and resumes them."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from bad_inputs import write_good_inputs

import kinepose_ocp as kp
from kinepose_ocp import cli
from kinepose_ocp.designs import Design
from kinepose_ocp.study_file import read_study, run_study

PROGRAM = [sys.executable, "-m", "kinepose_ocp", "sweep"]
STUDY = """\
schema: 1
keypoints: leg.csv
model: leg.yaml
lengths: model
factors:
  knee.flexion upper: {values: [60, 140]}
  noise: {values: [0, 2, 4]}
design: {kind: grid, seed: 3}
keep: [joint_angle, joint_position, converged]
"""
HYPERCUBE = STUDY.replace("values: [60, 140]", "range: [60, 140]").replace(
    "values: [0, 2, 4]", "range: [0, 4]"
)
HYPERCUBE = HYPERCUBE.replace("joint_position, ", "").replace("kind: grid", "kind: latin_hypercube, size: 30")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_good_inputs(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "many.yaml").write_text(HYPERCUBE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run ``sweep`` in this process: exit status, standard output, standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit:
            cli.main(["sweep", *arguments])
        return exit.value.code, *capsys.readouterr()

    return run


# ---- what is refused -----------------------------------------------------------------------------
REFUSALS = {
    "schema: 1": ("schema: 2", "study.yaml: schema is 2; possible: 1"),
    "lengths: model": ("length: model", "study.yaml: length: unknown key; did you mean 'lengths'?"),
    "keypoints: leg.csv": (
        "keypoints: lag.csv",
        "study.yaml: keypoints: no such file 'lag.csv'; did you mean 'leg.csv'?",
    ),
    "model: leg.yaml": (
        "model: fulbody",
        "no chain 'fulbody': neither a .yaml file nor a shipped chain; did you mean 'fullbody'?",
    ),
    "knee.flexion upper: {values: [60, 140]}": (
        "knee.flexion uper: {values: [60, 140]}",
        "study.yaml: factor 'knee.flexion uper': no quantity 'uper'; did you mean 'upper'?",
    ),
    "knee.flexion upper": (
        "knee.flex upper",
        "study.yaml: factor 'knee.flex upper': no degree of freedom 'knee.flex' in chain 'leg'; "
        "did you mean 'knee.flexion'?",
    ),
    "values: [60, 140]": (
        "values: [-60, 140]",
        "study.yaml: factor 'knee.flexion': its lower limit goes up to 0, its upper limit down to -60; "
        "they must not cross",
    ),
    "{values: [60, 140]}": (
        "{range: [60, 140]}",
        "study.yaml: factors.knee.flexion upper: a grid design needs 'values' of it, and no more",
    ),
    "[0, 2, 4]": ("[0, loud]", None),
    "kind: grid": (
        "kind: gird",
        "study.yaml: design.kind: input should be 'grid', 'latin_hypercube', 'sobol' or 'morris', "
        "found 'gird'",
    ),
    "kind: grid, seed": ("kind: grid, sead", "study.yaml: design.sead: unknown key; did you mean 'seed'?"),
    "seed: 3": ("size: 3", "study.yaml: design.size: a grid has as many cases as its factors' values make"),
    "keep:": ("seconds: [2, 1]\nkeep:", "study.yaml: seconds [2.0, 1.0] must have its start before its end"),
    "converged]": ("converged]\nworkers: 0", None),
    "design:": (
        "workers: 2\nscheduler: tcp://127.0.0.1:1\ndesign:",
        "study.yaml: give either workers or a scheduler",
    ),
    "noise:": (
        "nose:",
        "study.yaml: factor 'nose': a factor is 'noise', or a name and one of lower, upper, "
        "lock, length, scale, std, weight, such as 'knee_right.flexion upper'",
    ),
    "lengths: model\n": (
        "seconds: [5, 6]\n",
        "study.yaml: seconds [5.0, 6.0] hold no frame; leg.csv has 0 to 0.28 s",
    ),
    "knee.flexion upper: ": (
        "knee.twist upper: ",
        "study.yaml: factor 'knee.twist upper': 'knee.twist' is not free in the problem: it is locked in the "
        "chain, or no measured point shows it",
    ),
    "joint_position": ("knee_angle", None),
}
SAYS = {
    "[0, 2, 4]": "study.yaml: factors.noise.values[1]: input should be a valid number, unable to parse "
    "string as a number, found 'loud'",
    "converged]": "study.yaml: workers: input should be greater than or equal to 1, found 0",
    "joint_position": "study.yaml: a motion has no knee_angle; possible: joint_angle, ",
}


@pytest.mark.parametrize("good", REFUSALS)
def test_bad_studies_are_refused_in_one_line(good, folder, run):
    bad, says = REFUSALS[good]
    assert STUDY.count(good) == 1
    (folder / "study.yaml").write_text(STUDY.replace(good, bad))
    before = sorted(folder.rglob("*"))
    status, out, err = run("study.yaml", "-o", "out.nc", "--folder", "cases")
    assert (status, out) == (2, "")
    if says is None:
        assert err.startswith(f"kinepose-ocp: {SAYS[good]}") and err.count("\n") == 1
    else:
        assert err == f"kinepose-ocp: {says}\n"
    assert sorted(folder.rglob("*")) == before, "something was written"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            "range: [140, 60]",
            "factor 'knee.flexion upper': range [140, 60] must be finite, its low end below",
        ),
        ("values: [60, 140]", "factors.knee.flexion upper: a latin_hypercube design needs 'range' of it"),
        ("range: [60]", "factors.knee.flexion upper.range[1]: is required and missing"),
    ],
)
def test_bad_ranges_are_refused(bad, says, folder, run):
    (folder / "many.yaml").write_text(HYPERCUBE.replace("range: [60, 140]", bad))
    status, _, err = run("many.yaml", "-o", "out.nc")
    assert status == 2 and err.startswith(f"kinepose-ocp: many.yaml: {says}") and err.count("\n") == 1


def test_other_refusals(folder, run):
    assert run("no.yaml")[2] == "kinepose-ocp: no.yaml: cannot be read: No such file or directory\n"
    (folder / "list.yaml").write_text("- 1")
    assert run("list.yaml")[2] == (
        "kinepose-ocp: list.yaml: a study is a mapping with 'schema', 'keypoints', 'factors', 'design', ...; "
        "found list\n"
    )
    assert run("study.yaml", "-o", "out.csv")[2] == (
        "kinepose-ocp: out.csv: cannot write '.csv' files here; possible: .nc\n"
    )
    for size, says in (
        ("", "design.size: a sobol design needs one"),
        (", size: 3", "is a power of 2, got 3"),
    ):
        (folder / "sobol.yaml").write_text(HYPERCUBE.replace("latin_hypercube, size: 30", f"sobol{size}"))
        status, _, err = run("sobol.yaml")
        assert status == 2 and says in err


def test_a_scheduler_that_does_not_answer_is_refused(folder, run, monkeypatch):
    pytest.importorskip("distributed")
    from kinepose_ocp import workers

    monkeypatch.setattr(workers, "PATIENCE", 0.2)
    (folder / "study.yaml").write_text(STUDY + "scheduler: tcp://127.0.0.1:1\n")
    status, _, err = run("study.yaml")
    assert status == 2 and err.count("\n") == 1
    assert err.startswith("kinepose-ocp: study.yaml: no Dask scheduler answers at 'tcp://127.0.0.1:1': ")


# ---- what is made --------------------------------------------------------------------------------
def load(path):
    return xr.load_dataset(path, decode_times=False)


def test_a_grid_is_swept(folder, run):
    status, out, err = run("study.yaml", "-o", "out.nc")
    assert (status, err) == (0, "")
    assert out == "cases: 6, without a solution: 0\nwritten: out.nc\n"
    found = load("out.nc")
    assert found["knee.flexion_upper"].values.tolist() == [60, 60, 60, 140, 140, 140]
    assert found.noise.values.tolist() == [0, 2, 4] * 2 and found.noise.attrs["units"] == "mm"
    assert (found.converged == 1).all()
    assert (found.joint_angle.sel(dof="knee.flexion").max("time") <= found["knee.flexion_upper"] + 1e-6).all()
    assert found.joint_position.dims == ("case", "time", "joint", "space")
    assert found.attrs["study_yaml"] == STUDY and found.attrs["design"] == "grid"
    (folder / "study.yaml").write_text(STUDY.replace("seed: 3", "seed: 3, unstack: true"))
    assert run("study.yaml", "-o", "cube.nc")[0] == 0
    cube = load("cube.nc")
    assert cube.joint_angle.dims == ("knee.flexion_upper", "noise", "time", "dof")
    assert np.array_equal(cube.joint_angle.values.reshape(found.joint_angle.shape), found.joint_angle)


@pytest.mark.parametrize("most_noise, failed, status", [(1.0, 4, 0), (-1.0, 6, 3)])
def test_failures_are_counted(most_noise, failed, status, folder, run, monkeypatch):
    """Where every case fails the result is written all the same, and the status tells."""
    sweeping = import_module("kinepose_ocp.sweep")
    solved, seen = sweeping._kept, iter([0, 2, 4] * 2)

    def kept(*arguments):
        if next(seen) > most_noise:
            raise kp.SolveError("it did not converge")
        return solved(*arguments)

    monkeypatch.setattr(sweeping, "_kept", kept)
    found = run("study.yaml", "-o", "out.nc")
    assert found[0] == status and ("no case has a solution" in found[2]) == (status == 3)
    assert f"cases: 6, without a solution: {failed}\n" in found[1]
    result = load("out.nc")
    assert int((result.error == "it did not converge").sum()) == failed
    assert bool(result.joint_angle.isnull().all()) == (failed == 6)


def test_the_seed_of_a_grid_is_that_of_its_noise(folder, run):
    assert run("study.yaml", "-o", "out.nc")[0] == 0
    (folder / "study.yaml").write_text(STUDY.replace("seed: 3", "seed: 4"))
    assert run("study.yaml", "-o", "other.nc")[0] == 0
    first, second = load("out.nc"), load("other.nc")
    assert (first.attrs["design_seed"], second.attrs["design_seed"]) == (3, 4)
    noisy = np.abs(first.joint_angle - second.joint_angle).max(("time", "dof"))
    assert (noisy[first.noise == 0] < 1e-9).all() and (noisy[first.noise > 0] > 1e-3).all()


def test_the_study_is_told_as_it_was_read(folder):
    """The file may be edited or gone when hours later all cases are solved."""
    study = read_study(folder / "study.yaml")
    problem = study.problem()
    (folder / "study.yaml").unlink()
    assert run_study(study, problem).attrs["study_yaml"] == STUDY


# ---- interrupted and resumed ---------------------------------------------------------------------
def wait_for_cases(process, count):
    """Wait until that many cases are kept; not all, for a sweep that is to be stopped half-way."""
    end = time.monotonic() + 60
    while len(list(Path("cases").glob("[!.]*.nc"))) < count:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)


def test_a_killed_sweep_is_resumed(folder, run):
    """Its workers end, too; what they finished is not solved again, and nothing differs."""
    stopped(signal.SIGKILL)
    kept = {path: path.stat().st_mtime_ns for path in Path("cases").glob("[!.]*.nc")}
    assert kept and not Path("out.nc").exists()
    assert run("many.yaml", "-o", "out.nc", "--folder", "cases")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "cases were solved again"
    assert run("many.yaml", "-o", "whole.nc")[0] == 0
    xr.testing.assert_identical(load("out.nc"), load("whole.nc"))
    assert Design.of(load("out.nc")).values.tolist() == read_study(Path("many.yaml")).design.values.tolist()


def test_an_interrupted_sweep_leaves_what_is_finished(folder):
    """A terminal shows a bar until then; a pipe shows nothing of it."""
    terminal, stderr = pty.openpty()
    parts = []
    reader = threading.Thread(target=lambda: parts.extend(iter(lambda: read(terminal), b"")))
    reader.start()
    process = stopped(signal.SIGINT, stderr)
    os.close(stderr)
    reader.join(20)
    shown = b"".join(parts)
    assert process.returncode == 130 and process.stdout.read() == b""
    assert b"sweeping 30 cases" in shown and b"/30" in shown
    assert shown.endswith(b"kinepose-ocp: interrupted; finished cases are in cases\r\n")
    assert list(Path("cases").glob("[!.]*.nc")) and not Path("out.nc").exists()


def stopped(how, stderr=subprocess.DEVNULL):
    """Stop a sweep with two workers half-way; no worker may run on."""
    arguments = ("many.yaml", "-o", "out.nc", "--folder", "cases", "--workers", "2")
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=stderr)
    wait_for_cases(process, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.send_signal(how)
    process.wait(60)
    end = time.monotonic() + 20
    while any(alive(child) for child in children):
        assert time.monotonic() < end, "a worker runs on"
        time.sleep(0.02)
    return process


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux tells that no process holds the other side
        return b""
