"""Data that several tests share."""

import os
from pathlib import Path

import pytest

import kinepose_ocp as kp
from kinepose_ocp.synthetic import measure, random_motion


def shared_data() -> Path:
    """Folder of measured motions that do not ship with the project."""
    root = Path(os.environ.get("KINEPOSE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    return root / "data"


@pytest.fixture(scope="session")
def imvip22():
    return kp.load_chain("imvip22")


@pytest.fixture(scope="session")
def short_motion(imvip22):
    """40 frames at 60 Hz of the IMVIP22 chain, and their keypoints without noise."""
    truth = random_motion(imvip22, frames=40, rate=60, seed=3, straight=False)
    return truth, measure(truth)


@pytest.fixture(scope="session")
def short_problem(imvip22, short_motion):
    return kp.build_problem(imvip22, short_motion[1], [kp.LinkDirection(), kp.AngularVelocity(3.0)])


@pytest.fixture(scope="session")
def baseball(imvip22):
    """The real clip of the reference figures: 277 frames."""
    path = shared_data() / "detector" / "baseball_3d_keypoints.txt"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return kp.read_keypoints(path, layout="h36m17_paper", chain=imvip22, rate=30)
