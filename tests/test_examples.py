"""What README and the studies show runs as it stands."""

import importlib.util
import re
from pathlib import Path

import pytest

import kinepose_ocp as kp
from kinepose_ocp import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def study(name):
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
    commands = re.findall(r"^kinepose-ocp (.*?)(?:\s+#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        with pytest.raises(SystemExit) as end:
            cli.main([*command.split(), "--help"])
        assert end.value.code == 0, command


def test_demo(folder, capsys):
    study("demo").main(folder / "demo", frames=24)
    assert "whole motion" in capsys.readouterr().out
    made = {path.name for path in (folder / "demo").iterdir()}
    assert made == {"motion.nc", "angles.png", "key_frames.png", "motion.gif"}


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


def test_surface_to_motion(folder, capsys):
    result = study("surface_to_motion").main(folder / "surface", frames=6)
    assert "chain from the surface" in capsys.readouterr().out
    assert result.error.notnull().all() and float(result.error.sel(way="subject").mean()) < 15
    made = {path.name for path in (folder / "surface").iterdir()}
    assert made == {"surface_to_motion.nc", "surface_to_motion.png"}
