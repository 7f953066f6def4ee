"""Inputs that the command line must refuse: what is asked, which file is wrong, and what it must say.

Every case runs in a folder with the good files of :func:`write_good_inputs`; ``make`` adds the bad one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.io import write
from kinepose_ocp.synthetic import measure, true_motion

RATE = 25.0  # Hz
LEG = """\
schema: 1
name: leg
source: made up for the tests
joints:
  - name: pelvis
    parent: null
    dofs:
      - {name: x, translation: [1, 0, 0]}
      - {name: y, translation: [0, 1, 0]}
      - {name: z, translation: [0, 0, 1]}
      - {name: rotation, rotation: [0, 0, 1]}
      - {name: tilt, rotation: [0, 1, 0]}
  - name: hip
    parent: pelvis
    offset: [0, -0.09, 0]
    dofs:
      - {name: flexion, rotation: [0, -1, 0], rom: [-20, 120]}
      - {name: adduction, rotation: [1, 0, 0], rom: [-45, 30]}
  - name: knee
    parent: hip
    offset: [0, 0, -0.42]
    dofs:
      - {name: flexion, rotation: [0, 1, 0], rom: [0, 140]}
      - {name: twist, rotation: [0, 0, 1], rom: [-10, 10], locked: true, rest: 5}
  - name: ankle
    parent: knee
    offset: [0, 0, -0.41]
keypoints:
  pelvis: {joint: pelvis}
  spine: {joint: pelvis, offset: [0, 0, 0.5]}
  hip: {joint: hip}
  knee: {joint: knee}
  ankle: {joint: ankle}
links:
  - [pelvis, spine]
  - [pelvis, hip]
  - [hip, knee]
  - [knee, ankle]
"""
NAMES = ["pelvis", "spine", "hip", "knee", "ankle"]


def leg_motion(frames: int = 8):
    """A step of the leg, forward and with the knee bending."""
    time = np.arange(frames) / RATE
    angles = {
        "pelvis.x": time,
        "pelvis.tilt": 5 * np.sin(3 * time),
        "hip.flexion": 30 + 20 * np.sin(4 * time),
        "knee.flexion": 60 - 40 * np.sin(4 * time),
    }
    return true_motion(chain_from_yaml(LEG), angles, RATE)


def write_good_inputs(folder: Path) -> None:
    """Write leg.yaml and its keypoints as leg.csv, leg.nc and leg.npz, and the true motion true.nc."""
    (folder / "leg.yaml").write_text(LEG)
    motion = leg_motion()
    keypoints = measure(motion)
    write(keypoints, folder / "leg.csv")
    write(keypoints, folder / "leg.nc")
    np.savez(folder / "leg.npz", position=keypoints.position.values, names=np.array(NAMES), rate=RATE)
    write(motion, folder / "true.nc")


# ---- ways to spoil a file ----------------------------------------------------------------------
def nothing(folder: Path) -> None:
    """The files are in order; what is asked of them is not."""


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def data(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def folder_named(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).mkdir()


def half(source: str, name: str) -> Callable[[Path], None]:
    """Cut off the second half of a file."""

    def make(folder: Path) -> None:
        content = (folder / source).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return make


def archive(**change) -> Callable[[Path], None]:
    """Write bad.npz: leg.npz with other arrays; a function changes one, None removes it."""

    def make(folder: Path) -> None:
        with np.load(folder / "leg.npz") as good:
            arrays = dict(good)
        for name, value in change.items():
            arrays[name] = value(arrays[name]) if callable(value) else value
        np.savez(folder / "bad.npz", **{name: value for name, value in arrays.items() if value is not None})

    return make


def table(line: int, edit: Callable[[str], str]) -> Callable[[Path], None]:
    """Write bad.csv: leg.csv with one line changed (1 is the header), or all of them (0)."""

    def make(folder: Path) -> None:
        lines = (folder / "leg.csv").read_text().splitlines()
        lines = [edit(content) if line in (0, i) else content for i, content in enumerate(lines, start=1)]
        (folder / "bad.csv").write_text("\n".join(lines) + "\n")

    return make


def chain(old: str, new: str) -> Callable[[Path], None]:
    """Write bad.yaml: leg.yaml with a part replaced."""
    assert LEG.count(old) == 1, old
    return text("bad.yaml", LEG.replace(old, new))


def at(index: tuple, value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Put a value into a copy of an array."""

    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[index] = value
        return array

    return change


# ---- what must be refused ------------------------------------------------------------------------
@dataclass(frozen=True)
class Bad:
    """A command line, the one line that it must print after its name, and how to make the bad file."""

    command: str
    says: str
    make: Callable[[Path], None] = nothing

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.command)


def solve(keypoints: str, says: str, make: Callable[[Path], None] = nothing, options: str = "") -> Bad:
    return Bad(f"solve {keypoints} --model leg.yaml -o out.nc {options}", says, make)


def model(says: str, make: Callable[[Path], None] = nothing, name: str = "bad.yaml") -> Bad:
    return Bad(f"solve leg.csv --model {name} -o out.nc", says, make)


SEE = "(see kinepose-ocp --help)"
FILES = {
    "no such file": solve("log.csv", "log.csv: no such file; did you mean 'leg.csv'?"),
}
