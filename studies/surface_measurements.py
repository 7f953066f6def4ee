"""What the study ``surface_accuracy`` measures: fits of bodies, rotations of bones, seconds of sequences.

No study of its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import igl
import numpy as np
import xarray as xr
from body_poses import rig_rotations
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.surface.body import LinearBody, example_people, open_body
from kinepose_ocp.surface.command import default_body, default_skeleton
from kinepose_ocp.surface.correspondence import Surface
from kinepose_ocp.surface.driven_skin import degrees_between, drive_skin
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.orientation import MeshFrame
from kinepose_ocp.surface.placement import placement_problem
from kinepose_ocp.surface.posing import PosingProblem, PosingWeights
from kinepose_ocp.surface.registration_checks import measured
from kinepose_ocp.surface.skeleton import Skeleton, open_skeleton
from kinepose_ocp.surface.subject import Subject, make_subject
from kinepose_ocp.surface.surfaces import UPS, of_meshes, of_poses, registrar

NOISE = 0.003  # m, standard deviation along each axis
FACES, OUTSIDE_FACES = 5000, 8000  # of remeshed bodies
FRAMES_OF = {  # kind of mesh: its unit and axes, which the registration finds
    "own topology": MeshFrame("millimetres", UPS["z"]),
    "remeshed": MeshFrame("metres", UPS["y"]),
    "remeshed, noise": MeshFrame("centimetres", UPS["z"]),
}


def both(name: str, flexion: float, abduction: float, twist: float) -> dict[str, tuple[float, ...]]:
    """Angles [degree] of the joints of both sides: mirror images, told for the left one."""
    return {f"{name}_left": (flexion, abduction, twist), f"{name}_right": (flexion, -abduction, -twist)}


SHRUG = both("sc", 9, 20, 0)  # a raised clavicle turns back, so that the scapula stays on the ribs
MOTIONS = {  # angles [degree] about flexion, abduction and twist axis by joint; ribs and ligaments allow all
    "one leg and arm": {"hip_left": (40, 10, 10), "knee_left": (-60, 0, 0)}
    | {"gh_left": (20, 30, 10), "elbow_left": (25, 0, 0)},
    "lunge, trunk bent": {"hip_right": (70, -5, 5), "knee_right": (-80, 0, 0)}
    | {"l5s1": (-10, 3, 5), "t12l1": (-10, -2, 5)},
    "squat": both("hip", 90, 0, 0) | both("knee", -110, 0, 0) | {"l5s1": (-15, 0, 0), "t12l1": (-15, 0, 0)},
    "shrug": SHRUG,
    "shoulders forward": both("sc", 0, 0, -20),
    "arms raised by 45°": both("gh", 0, 45, 0),
    "shrug, arms by 60°": SHRUG | both("gh", 0, 60, 0),
    "shrug, arms by 75°": SHRUG | both("gh", 0, 75, 0),
}
WALKER = "woman, 30 years, light"
RATE, STRIDE = 30.0, 1.2  # Hz, s
SEQUENCES = ("poses", "own topology", "any topology")
FITS = {  # variable: unit, and what it is
    "skin_to_fit": ("mm", "mean distance from points of the true skin to the fitted body"),
    "fit_to_skin": ("mm", "mean distance from vertices of the fitted body to the true skin"),
    "seconds": ("s", "processor time of the registration of one mesh"),
    "refusal": ("", "why a mesh was refused; empty where it was fitted"),
}
TIMES = {  # variable [s]: what it is
    "start": "one frame with nothing built before: files, programs, shape, placement, pose",
    "first": "one frame, programs built before",
    "whole": "all frames, programs built before",
    "frame": "whole over the number of frames",
    "further": "a frame beyond the first",
}
CLOCKS = {"processor": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Fit:
    """Mean distances [mm] from skin to fitted body and back, seconds of one core; or why it was refused."""

    skin_to_fit: float = np.nan
    fit_to_skin: float = np.nan
    seconds: float = np.nan
    refusal: str = ""


@dataclass(frozen=True, eq=False)
class Person:
    """Fits by pose and kind of mesh; errors (motion, part) [degree] of bones, and whether they were found."""

    fits: list[list[Fit]]
    errors: np.ndarray
    converged: list[bool]


def measured_person(
    name: str, poses: Sequence[str], kinds: Sequence[str], motions: Sequence[str], seed: int
) -> Person:
    """Register one person's skin in every pose, and find their bones in every motion."""
    shape, random = example_people()[name], np.random.default_rng(seed)
    fits = [
        [fit(meshes[kind], skin, FRAMES_OF[kind]) for kind in kinds]
        for skin in (facing_anywhere(shape, pose, random) for pose in poses)
        for meshes in [meshes_of(skin, random)]
    ]
    return Person(fits, *bone_errors(shape, motions))


# ---- registration --------------------------------------------------------------------------------
def facing_anywhere(shape: np.ndarray, pose: str, random: np.random.Generator) -> Mesh:
    """Skin [m] of a person in a pose, turned about the vertical by a random angle."""
    body = default_body()
    skin = body.mesh(body.posed(shape, rig_rotations(body, pose)))
    turn = Rotation.from_rotvec([0, 0, random.uniform(0, 2 * np.pi)])
    return skin.with_vertices(turn.apply(skin.vertices))


def meshes_of(skin: Mesh, random: np.random.Generator) -> dict[str, Mesh]:
    """Return the skin [m] as meshes of every kind."""
    coarse = remeshed(skin, FACES)
    noise = random.normal(0, NOISE, coarse.vertices.shape)
    noisy = coarse.with_vertices(coarse.vertices + noise)
    return dict(zip(FRAMES_OF, (skin, coarse, noisy), strict=True))


def remeshed(skin: Mesh, faces: int) -> Mesh:
    """Return a decimated mesh: fewer faces, other vertices in another order."""
    return Mesh(*igl.decimate(skin.vertices, skin.faces, faces)[:2])


def fit(mesh: Mesh, skin: Mesh, frame: MeshFrame) -> Fit:
    """Register a mesh [m], given in the unit and axes of a frame; measure it against the true skin [m]."""
    began = time.process_time()
    try:
        found = registrar(default_body()).register(mesh.with_vertices(frame.to_mesh(mesh.vertices)))
    except DataError as error:
        return Fit(refusal=str(error))
    seconds = time.process_time() - began
    true = skin.with_vertices(found.frame.to_world(frame.to_mesh(skin.vertices)))
    residual = measured(found.body, found.posed, Surface(true))
    return Fit(residual.mesh_to_body_mean_mm, residual.body_to_mesh_mean_mm, seconds)


def outside_meshes(path: Path) -> dict[str, Mesh]:
    """Read meshes by name; :class:`DataError` for a file without any."""
    arrays = read_arrays(path)
    if "faces" not in arrays or len(arrays) < 2:
        raise DataError(f"{path}: needed: array faces (F, 3) and vertices (V, 3) [m] of each mesh by name")
    faces = arrays.pop("faces")
    return {name: Mesh(vertices, faces) for name, vertices in arrays.items()}


def outside_fit(skin: Mesh) -> Fit:
    """Register a remeshed body of another family."""
    return fit(remeshed(skin, OUTSIDE_FACES), skin, FRAMES_OF["remeshed"])


# ---- bones ---------------------------------------------------------------------------------------
@cache
def posing_by_skin() -> PosingProblem:
    """Return a program that the rig tells nothing."""
    return PosingProblem(default_skeleton(), PosingWeights(rig=np.inf))


def bone_errors(shape: np.ndarray, motions: Sequence[str]) -> tuple[np.ndarray, list[bool]]:
    """Rotation errors (motion, part) [degree] of bones that are found from the skin they drive."""
    body, problem = default_body(), posing_by_skin()
    rest = body.posed(shape)
    placed = placement_problem(default_skeleton()).place(body, rest).placed
    subject = problem.subject(body, rest, placed)
    errors, converged = [], []
    for motion in motions:
        skin, truth = drive_skin(body, rest, placed, MOTIONS[motion])
        (solved,) = problem.frames(subject, [skin])
        errors.append(degrees_between(solved.placed.rotations, truth.rotations))
        converged.append(solved.converged)
    return np.array(errors), converged


# ---- time ----------------------------------------------------------------------------------------
def walk(body: LinearBody, frames: int) -> np.ndarray:
    """Rotation vectors (T, K, 3) [rad] of the rig in a walk on the spot."""
    turns = np.zeros((frames, len(body.parents), 3))
    phase = 2 * np.pi * np.arange(frames) / RATE / STRIDE
    for side, sign, shift in (("left", 1, 0.0), ("right", -1, np.pi)):
        swing = np.sin(phase + shift)
        turns[:, body.joint_index(f"upperleg_{side}"), 1] = np.radians(-8 - 24 * swing)
        turns[:, body.joint_index(f"lowerleg_{side}"), 1] = np.radians(35 + 25 * np.sin(phase + shift - 0.4))
        turns[:, body.joint_index(f"upperarm_{side}"), 0] = np.radians(-35 * sign)
        turns[:, body.joint_index(f"upperarm_{side}"), 1] = np.radians(20 * swing)
    return turns


def input_of(sequence: str, frames: int) -> np.ndarray | list[Mesh]:
    """Rotations of the walk, or its meshes [m]."""
    body, shape = default_body(), example_people()[WALKER]
    rotations = walk(body, frames)
    if sequence == "poses":
        return rotations
    skins = [body.mesh(body.posed(shape, turns)) for turns in rotations]
    return skins if sequence == "own topology" else [remeshed(skin, FACES) for skin in skins]


def subject_of(given: np.ndarray | list[Mesh], body: LinearBody, skeleton: Skeleton) -> Subject:
    """Return the bones in a sequence, as the command ``skeleton`` finds them."""
    if isinstance(given, list):
        return make_subject(of_meshes(given, RATE, body), skeleton)
    still = np.zeros((len(given), 3))
    return make_subject(of_poses(body, example_people()[WALKER], given, still, RATE), skeleton)


def sequence_seconds(sequence: str, frames: int) -> list[list[float]]:
    """Seconds of every run, by clock."""
    given = input_of(sequence, frames)
    made: list = []

    def from_nothing() -> None:
        made.extend([open_body(), open_skeleton()])
        subject_of(given[:1], *made)

    return [
        clocked(from_nothing),
        clocked(lambda: subject_of(given[:1], *made)),
        clocked(lambda: subject_of(given, *made)),
    ]


def clocked(work: Callable[[], object]) -> list[float]:
    """Seconds of each clock that work takes."""
    began = [clock() for clock in CLOCKS.values()]
    work()
    return [clock() - before for clock, before in zip(CLOCKS.values(), began, strict=True)]


# ---- tables --------------------------------------------------------------------------------------
def fit_variables(dims: tuple[str, ...], fits: list, prefix: str = "") -> dict:
    """Variables of fits in nested lists, by dimension."""
    table = np.array(fits, dtype=object)
    return {
        prefix + name: (
            dims,
            np.array([getattr(one, name) for one in table.ravel()]).reshape(table.shape),
            ({"units": units} if units else {}) | {"long_name": text},
        )
        for name, (units, text) in FITS.items()
    }


def registration_table(
    people: Sequence[str], poses: Sequence[str], kinds: Sequence[str], fits: list
) -> xr.Dataset:
    """Fits by person, pose and kind of mesh."""
    coords = {"person": list(people), "pose": list(poses), "kind": list(kinds)}
    return xr.Dataset(fit_variables(tuple(coords), fits), coords)


def outside_table(names: list[str], fits: list) -> xr.Dataset:
    """Fits by mesh of the file; nothing where there is no file."""
    return xr.Dataset(fit_variables(("mesh",), fits, "outside_"), {"mesh": names}) if names else xr.Dataset()


def rotation_table(people: Sequence[str], motions: Sequence[str], found: list[Person]) -> xr.Dataset:
    """Errors by person, motion and part of the skeleton."""
    parts = list(default_skeleton().parts)
    error = {"units": "degree", "long_name": "angle between true and found rotation of a part"}
    converged = {"units": "1", "long_name": "whether the pose was found"}
    return xr.Dataset(
        {
            "rotation_error": (("person", "motion", "part"), [person.errors for person in found], error),
            "converged": (("person", "motion"), [person.converged for person in found], converged),
        },
        {
            "person": list(people),
            "motion": list(motions),
            "part": parts,
            "segment": ("part", [segment(part) for part in parts]),
        },
    )


def segment(part: str) -> str:
    """Which of the segments with a goal a part belongs to."""
    girdle = part.startswith(("clavicle", "scapula"))
    return "pelvis" if part == "pelvis" else "shoulder girdle" if girdle else "others"


def time_table(sequences: Sequence[str], frames: int) -> xr.Dataset:
    """Seconds by sequence and clock."""
    seconds = np.array([sequence_seconds(sequence, frames) for sequence in sequences])
    start, first, whole = np.moveaxis(seconds, 1, 0)
    values = (start, first, whole, whole / frames, (whole - first) / (frames - 1))
    return xr.Dataset(
        {
            name: (("sequence", "clock"), value, {"units": "s", "long_name": text})
            for (name, text), value in zip(TIMES.items(), values, strict=True)
        },
        {"sequence": list(sequences), "clock": list(CLOCKS)},
    )
