"""What README and the studies show runs as it stands."""

import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kinepose_ocp as kp
from kinepose_ocp import cli
from kinepose_ocp.io.arrays import write_arrays
from kinepose_ocp.surface.body import example_people, open_body
from kinepose_ocp.surface.mesh import Mesh

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OTHER_SCRIPTS = {"body_skeleton", "demo", "make_example", "surface_measurements"}
STUDIES = {path.stem for path in (ROOT / "studies").glob("*.py")} - OTHER_SCRIPTS


def study(name):
    if str(ROOT / "studies") not in sys.path:  # where Python looks as it runs one: studies import each other
        sys.path.append(str(ROOT / "studies"))
    spec = importlib.util.spec_from_file_location(name, ROOT / "studies" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_of_the_readme(folder, monkeypatch):
    read = kp.read_keypoints
    monkeypatch.setattr(kp, "read_keypoints", lambda *a, **k: read(*a, **k).isel(time=slice(20)))
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)
    assert kp.read_motion(folder / "out" / "throw.nc").converged == 1
    assert names["narrow"].converged == 1
    assert "NeutralPosture" in names["motion"].term


def test_commands_of_the_readme(folder):
    """Every command's options exist: each is asked for help instead of run."""
    text = README + (ROOT / "docs" / "coupled_ranges.md").read_text(encoding="utf-8")
    commands = re.findall(r"^kinepose-ocp (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        with pytest.raises(SystemExit) as end:
            cli.main([*command.split(), "--help"])
        assert end.value.code == 0, command


def test_coupled_ranges_as_their_page_says_them(folder):
    page = (ROOT / "docs" / "coupled_ranges.md").read_text(encoding="utf-8")
    (ranges,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (folder / "own.yaml").write_text("schema: 1\n" + ranges)
    assert [one.name for one in kp.load_couplings("own.yaml", kp.load_chain("fullbody")).coupled] == [
        "arm_right",
        "hamstrings_right",
    ]
    names = {"kp": kp}
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "coupled_ranges.md", "exec"), names)
    assert names["chain"].coupled


def test_demo(folder, capsys):
    study("demo").main(folder / "demo", frames=24)
    assert "whole motion" in capsys.readouterr().out
    made = {path.name for path in (folder / "demo").iterdir()}
    assert made == {"motion.nc", "angles.png", "key_frames.png", "motion.gif"}


def test_coupled_ranges(folder, capsys):
    result = study("coupled_ranges").main(folder / "coupled", frames=16, seeds=[3000])
    assert "rotation tied to abduction" in capsys.readouterr().out
    assert result.error.sizes == {"seed": 1, "way": 3, "side": 2, "time": 16}
    assert {path.name for path in (folder / "coupled").iterdir()} == {
        "coupled_ranges.nc",
        "coupled_ranges.png",
    }


def test_straight_limb(folder, capsys):
    result = study("straight_limb").main(folder / "straight", frames=40, seeds=[2001])
    assert "whole motion" in capsys.readouterr().out
    assert result.error.notnull().all() and (result.deviation > 0).all()
    made = {path.name for path in (folder / "straight").iterdir()}
    assert made == {"straight_limb.nc", "straight_limb.png"}


def test_frame_rate(folder, capsys):
    result = study("frame_rate").main(folder / "rate", seconds=0.6, rates=(25, 50), seeds=[2010], workers=1)
    assert "spread over rates" in capsys.readouterr().out
    assert result.mpjas.notnull().all()
    assert {path.name for path in (folder / "rate").iterdir()} == {"frame_rate.nc", "frame_rate.png"}


def test_coverage(folder, capsys):
    kinds = {"10 mm white": {"noise": 0.010}}
    result = study("coverage").main(folder / "coverage", frames=40, seeds=[2200], errors=kinds, workers=1)
    assert "share of errors" in capsys.readouterr().out
    assert result.share.sel(points="shown").notnull().all()
    assert {path.name for path in (folder / "coverage").iterdir()} == {"coverage.nc", "coverage.png"}


def test_global_rom_sensitivity(folder, capsys):
    """As in the study but short; on a Dask cluster where there is one."""
    pytest.importorskip("SALib")
    local = importlib.util.find_spec("distributed") is None
    options = {"size": 2, "workers": 1, "seconds": (2.7, 2.8), "local": local}
    result = study("global_rom_sensitivity").main(folder / "global", **options)
    assert "Total index of each limit" in capsys.readouterr().out
    assert result.total.dims == ("factor", "dof") and result.change.notnull().all()
    assert result.sizes["case"] == 2 * (7 + 2) and result.attrs["failed"] == 0
    assert {path.name for path in (folder / "global").iterdir()} == {"indices.nc", "indices.png"}


def test_study_file(folder, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["sweep", str(ROOT / "studies" / "rom_sweep.yaml"), "-o", "rom_sweep.nc"])
    assert end.value.code == 0
    assert capsys.readouterr().out == "cases: 6, without a solution: 0\nwritten: rom_sweep.nc\n"
    swept = kp.read_motion("rom_sweep.nc")
    highest = swept.joint_angle.sel(dof="elbow_right.z").max("time")
    assert highest.dims == ("elbow_right.z_upper", "noise")
    assert (highest <= swept["elbow_right.z_upper"] + 1e-6).all() and float(highest[0, 0]) > 49


def test_rom_sensitivity(folder, capsys):
    throw = {"frames": slice(176, 200), "errors": {"noise": 0.005}}
    result = study("rom_sensitivity").main(folder / "rom", limits=(-88, -90), **throw)
    assert "right shoulder rotation, lower limit" in capsys.readouterr().out
    assert (result.converged == 1).all()
    again = result.cost.sum("term") - result.base_cost
    assert abs(float(again.sel(limit=-90))) < 1e-6 * float(result.base_cost)
    slope = float(result.cost_per_bound.sel(bound="shoulder_right.rotation lower"))
    assert float(again.sel(limit=-88)) == pytest.approx(2 * slope, rel=0.2)
    assert {path.name for path in (folder / "rom").iterdir()} == {"rom_sensitivity.nc", "rom_sensitivity.png"}


def test_temporal_weight(folder, capsys):
    small = {"frames": 30, "smoothness": (100,), "noise": (0.005,), "seeds": [2400], "workers": 1}
    result = study("temporal_weight").main(folder / "weight", **small)
    assert "auto" in capsys.readouterr().out
    assert float(result.mpjas_automatic.mean()) < float(result.mpjas.sel(smoothness=100).mean())
    made = {path.name for path in (folder / "weight").iterdir()}
    assert made == {"temporal_weight.nc", "temporal_weight.png"}


def test_noise_and_dropout(folder, capsys):
    small = {"frames": 30, "noise": (0.005,), "missing": (0.2,), "seeds": [2500], "workers": 1}
    result = study("noise_and_dropout").main(folder / "noise", **small)
    assert "20 % missing" in capsys.readouterr().out
    assert (result.error > 0).all() and (result.predicted > 0).all()
    made = {path.name for path in (folder / "noise").iterdir()}
    assert made == {"noise_and_dropout.nc", "noise_and_dropout.png"}


def test_dof_mask(folder, capsys):
    small = {"points": ("17 points",), "seeds": (17,), "workers": 1, "frames": slice(176, 200)}
    masks = ("as shipped", "hip rotation locked")
    result = study("dof_mask").main(folder / "mask", masks=masks, **small)
    assert "hip rotation locked" in capsys.readouterr().out
    thighs = result.error.sel(segment="thighs", points="17 points")
    assert float(thighs.sel(mask="hip rotation locked")) > float(thighs.sel(mask="as shipped"))
    assert {path.name for path in (folder / "mask").iterdir()} == {"dof_mask.nc", "dof_mask.png"}


def test_masks_change_the_dofs_that_they_name():
    module, shipped = study("dof_mask"), kp.load_chain("fullbody")
    for mask, dofs in {**module.LOCKED, **module.UNLOCKED}.items():
        changed = set(module.masked(mask).free_dofs) ^ set(shipped.free_dofs)
        assert {module.sideless(name) for name in changed} == set(dofs), mask


def test_sensitivity_accuracy(folder, capsys):
    module = study("sensitivity_accuracy")
    result = module.main(folder / "accuracy", motions=[("imvip22", 1)], frames=12, count=2)
    assert "stated" in capsys.readouterr().out
    for name, limit in module.STATED.items():
        assert float(result[name].max()) < limit
    made = {path.name for path in (folder / "accuracy").iterdir()}
    assert made == {"sensitivity_accuracy.nc", "sensitivity_accuracy.png"}


def test_performance(folder, capsys):
    result = study("performance").main(folder / "time", chains=("fullbody",), frames=(8,), repeats=1)
    assert "building the program" in capsys.readouterr().out
    assert (result.seconds.sel(stage="solver") > 0).all() and (result.sure_over_solve > 0).all()
    assert {path.name for path in (folder / "time").iterdir()} == {"performance.nc", "performance.png"}


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_study_is_run_described_and_tested(name):
    """It writes to the folder it is given, out/NAME by default; the list and these tests know it."""
    source = (ROOT / "studies" / f"{name}.py").read_text(encoding="utf-8")
    assert next(iter(inspect.signature(study(name).main).parameters)) == "folder"
    assert f'default=Path("out/{name}")' in source
    assert f'study("{name}")' in Path(__file__).read_text(encoding="utf-8")
    assert f"| `{name}` |" in (ROOT / "studies" / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_runs_every_study():
    command = ["make", "--dry-run", "studies", "PYTHON=false"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"studies/(\w+)\.py", made)) == STUDIES


def test_surface_to_motion(folder, capsys):
    result = study("surface_to_motion").main(folder / "surface", frames=6)
    assert "chain from the surface" in capsys.readouterr().out
    assert result.error.notnull().all() and float(result.error.sel(way="subject").mean()) < 15
    made = {path.name for path in (folder / "surface").iterdir()}
    assert made == {"surface_to_motion.nc", "surface_to_motion.png"}


def test_body_poses(folder, capsys):
    module = study("body_poses")
    name = "girl, 10 years, light"
    assert len(module.PEOPLE) == 12 and name in module.PEOPLE
    result = module.main(folder / "poses", people=[name], poses=("stand", "deep squat"), workers=1)
    printed = capsys.readouterr().out
    assert "deep squat" in printed and name in printed and result.person.values.tolist() == [name]
    assert set(module.MEASURES) <= set(result) and (result.converged == 1).all()
    assert (result.inside.sel(pose="stand") > 98).all() and float(result.hard_gap.max()) < 0.1
    assert (result.protrusion_without_kneecaps <= result.protrusion + 1e-9).all()
    made = {path.name for path in (folder / "poses").iterdir()}
    assert made == {"body_poses.nc", "body_poses.png", "people.png"}
    (picture,) = module.measured(name, ("stand",)).pictures
    height = np.flatnonzero((picture < 0.99).any((1, 2)))  # rows that are not paper
    assert abs(module.PIXEL * np.ptp(height) - float(result.stature[0])) < 0.02
    thigh = result.outside_published.sel(segment="thigh (hip - knee)")
    assert abs(float(thigh[0])) < 5 and np.isfinite(result.outside_published).all()


def test_surface_accuracy(folder, capsys):
    module, child = study("surface_accuracy"), "girl, 10 years, light"
    body = open_body()
    skin = body.posed(example_people()[child])
    write_arrays({"faces": body.faces, "child": skin.vertices}, folder / "outside.npz")
    small = {"people": [child], "poses": ("stand",), "kinds": ("own topology",), "motions": ("shrug",)}
    small |= {"sequences": ("poses",), "frames": 2, "workers": 1, "meshes": folder / "outside.npz"}
    result = module.main(folder / "accuracy", **small)
    printed = capsys.readouterr().out
    assert "skin to fit: outside the family, remeshed" in printed and "a frame of all" in printed
    assert len(module.PEOPLE) == 12 and len(module.MOTIONS) == 8
    for kind, limit in {"own topology": 0.1, "outside": 2}.items():
        assert 0 <= float(module.distances(result, kind).max()) < limit, kind
    assert (result.refusal == "").all() and result.converged.all()
    assert float(result.rotation_error.max()) < 2 and result.rotation_error.units == "degree"
    assert (result.start > 0).all() and np.isfinite(result.further).all()
    np.testing.assert_allclose(result.frame, result.whole / 2)
    made = {path.name for path in (folder / "accuracy").iterdir()}
    assert made == {"surface_accuracy.nc", "surface_accuracy.png"}


def test_meshes_of_the_surface_study():
    measure = study("surface_measurements")
    body = open_body()
    skin = body.mesh(body.posed())
    meshes = measure.meshes_of(skin, np.random.default_rng(0))
    assert tuple(meshes) == study("surface_accuracy").KINDS and meshes["own topology"] is skin
    coarse, noisy = meshes["remeshed"].vertices, meshes["remeshed, noise"].vertices
    assert len(coarse) < len(skin.vertices) / 4
    assert (noisy - coarse).std() == pytest.approx(0.003, rel=0.05)
    first, second = measure.input_of("any topology", 2)
    assert not np.array_equal(first.faces, second.faces)
    assert np.array_equal(measure.input_of("own topology", 1)[0].faces, body.faces)
    assert measure.fit(Mesh(coarse, coarse[:1].astype(int)), skin, measure.FRAMES_OF["remeshed"]).refusal


def test_what_is_not_found_misses_its_goal():
    judged, values = study("surface_accuracy").Judged, np.array([0.5, np.nan])
    assert judged("", "mm", values[:1], 1.0).met and not judged("", "mm", values, 1.0).met
    assert judged("", "mm", values, 1.0).line().split()[1:] == [
        "0.500",
        "0.500",
        "1",
        "of",
        "2",
        "1",
        "missed",
    ]
    assert judged("", "mm", values, None).met is None
