"""The command ``skeleton``: a body's surface in; bones, joint motion, chain, report and picture out."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kinepose_ocp import io
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.errors import DataError
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.io.atomic import check_new_folder, whole_file, whole_folder
from kinepose_ocp.io.json_file import write_json
from kinepose_ocp.keypoints import check_rate
from kinepose_ocp.plotting import save_figure
from kinepose_ocp.surface import surfaces
from kinepose_ocp.surface.body import LinearBody, open_body
from kinepose_ocp.surface.body_files import load_body
from kinepose_ocp.surface.bone_keypoints import keypoint_dataset
from kinepose_ocp.surface.mesh import SUFFIXES, Mesh, read_mesh, write_mesh
from kinepose_ocp.surface.regressed_sizes import regressed_sizes, regressor_of
from kinepose_ocp.surface.skeleton import Skeleton, joined, open_skeleton
from kinepose_ocp.surface.skeleton_dataset import skeleton_dataset
from kinepose_ocp.surface.skeleton_report import report
from kinepose_ocp.surface.subject import Subject, make_subject
from kinepose_ocp.surface.surfaces import Surfaces, Tick
from kinepose_ocp.surface_figures import plot_skeleton
from kinepose_ocp.yaml_file import read_yaml

NEEDED = {"trimesh": "trimesh", "igl": "libigl"}  # module: package
ONE_MESH, MESHES, POSES = "one mesh", "a sequence of meshes", "a sequence of poses"
ARRAYS = {MESHES: ("vertices", "faces"), POSES: ("shape", "rotations", "translation")}  # kind of .npz: needed
OPTIONS = {  # kind of input: what may be said about it
    ONE_MESH: ("up", "landmarks"),
    MESHES: ("up", "rate"),
    POSES: ("rate",),
}


@dataclass(frozen=True)
class Request:
    """What the user asks for: see ``kinepose-ocp skeleton --help``."""

    source: Path
    output: Path
    body_model: Path | None = None
    up: str = surfaces.AUTOMATIC
    landmarks: Path | None = None
    rate: float | None = None
    regressor: Path | None = None


def run(request: Request, tick: Tick | None = None) -> tuple[Subject, dict[str, Any]]:
    """Make a skeleton and write everything into a new folder; return it with its report.

    Raises
    ------
    KineposeError
        For input that cannot be used; then nothing is written.
    """
    check_new_folder(request.output)
    check_extra()
    body = default_body() if request.body_model is None else load_body(request.body_model)
    regressor = None if request.regressor is None else regressor_of(request.regressor, body)
    found = read_surfaces(request, body, tick)
    digest = hashlib.sha256(request.source.read_bytes()).hexdigest()
    skeleton, name = default_skeleton(), request.source.stem.replace(" ", "_")
    regressed = None if regressor is None else regressed_sizes(regressor, body, found.shape, skeleton)
    subject = make_subject(found, skeleton, name, tick, regressed)
    content = report(subject, request.source.name)
    if tick is not None:
        tick("writing")
    with whole_folder(request.output) as folder:
        write_subject(subject, content, folder, digest)
    return subject, content


def check_extra() -> None:
    """Refuse to begin without the libraries of the extra ``surface``: :class:`DataError` names them."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        listed = " and ".join(NEEDED[name] for name in missing)
        raise DataError(f"skeletons need {listed}: pip install 'kinepose_ocp[surface]'")


@cache
def default_body() -> LinearBody:
    """Return the open body, read once."""
    return open_body()


@cache
def default_skeleton() -> Skeleton:
    """Return the open skeleton, read once: its programs are built once as well."""
    return open_skeleton()


# ---- reading -------------------------------------------------------------------------------------
def read_surfaces(request: Request, body: LinearBody, tick: Tick | None = None) -> Surfaces:
    """Read a mesh, a sequence of meshes, or poses, and fit the body to it.

    Raises
    ------
    DataError
        ``PATH: ...`` for anything that is not usable.
    """
    path = request.source
    arrays = _arrays(path)
    kind = _kind(path, arrays)
    _check_options(request, kind)
    if kind == ONE_MESH:
        mesh = read_mesh(path)
        marks = None if request.landmarks is None else read_landmarks(request.landmarks)
        if tick is not None:
            tick("registering the body")
        return _told(path, lambda: surfaces.of_mesh(mesh, body, marks, request.up))
    rate = _rate(arrays, request)
    if kind == MESHES:
        meshes = _told(path, lambda: _meshes(arrays["vertices"], arrays["faces"]))
        return _told(path, lambda: surfaces.of_meshes(meshes, rate, body, request.up, tick))
    shape, rotations, translation = (arrays[name] for name in ARRAYS[POSES])
    return _told(path, lambda: surfaces.of_poses(body, shape, rotations, translation, rate))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a sequence; none for the file of one mesh."""
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, ".npz"):
        raise DataError(f"{path}: not a body's surface; possible: {', '.join((*SUFFIXES, '.npz'))}")
    return read_arrays(path, (*ARRAYS[MESHES], *ARRAYS[POSES], "rate")) if suffix == ".npz" else {}


def _kind(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Which of :data:`OPTIONS` a file is."""
    if path.suffix.lower() != ".npz":
        return ONE_MESH
    for kind, names in ARRAYS.items():
        if all(name in arrays for name in names):
            return kind
    needed = ", or ".join(", ".join(names) for names in ARRAYS.values())
    held = ", ".join(arrays) or "none of them"
    raise DataError(f"{path}: needed: arrays {needed}; found: {held}")


def _check_options(request: Request, kind: str) -> None:
    """Refuse options that have no meaning for a kind of input."""
    given = {
        "up": request.up != surfaces.AUTOMATIC,
        "landmarks": request.landmarks is not None,
        "rate": request.rate is not None,
    }
    for name in given:
        if given[name] and name not in OPTIONS[kind]:
            allowed = ", ".join(f"--{each}" for each in OPTIONS[kind])
            raise DataError(f"{request.source}: --{name} has no meaning for {kind}; possible: {allowed}")


def _told(path: Path, make: Any) -> Any:
    """Name the file in front of what is wrong with its content."""
    try:
        return make()
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def _meshes(vertices: np.ndarray, faces: np.ndarray) -> list[Mesh]:
    if vertices.ndim != 3 or not len(vertices):
        raise DataError(f"vertices of a sequence must be (T, V, 3), found {vertices.shape}")
    return [Mesh(frame, faces) for frame in vertices]


def _rate(arrays: dict[str, np.ndarray], request: Request) -> float:
    """Sampling rate [Hz] of a sequence."""
    given: Any = arrays["rate"] if request.rate is None and "rate" in arrays else request.rate
    if given is None:
        raise DataError(f"{request.source}: no array 'rate'; give the sampling rate with --rate [Hz]")
    if np.size(given) != 1 or np.asarray(given).dtype.kind not in "fiu":
        raise DataError(f"{request.source}: rate must be one number [Hz], found {given}")
    return check_rate(float(np.asarray(given).item()), str(request.source))


def read_landmarks(path: Path) -> dict[str, np.ndarray]:
    """Read ``name: [x, y, z]`` lines (YAML or JSON), in the coordinates of the mesh.

    Raises
    ------
    DataError
        For content of another kind.
    ModelError
        For a file that cannot be read.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: landmarks are lines 'name: [x, y, z]'")
    found = {}
    for name, place in content.items():
        numbers = (
            isinstance(place, list) and len(place) == 3 and all(isinstance(x, (int, float)) for x in place)
        )
        if not numbers:
            raise DataError(f"{path}: landmark '{name}' must be three numbers [x, y, z], found {place}")
        found[str(name)] = np.array(place, dtype=float)
    return found


# ---- writing -------------------------------------------------------------------------------------
def write_subject(subject: Subject, content: dict[str, Any], folder: Path, digest: str = "") -> None:
    """Write bones, Datasets, chain, report and picture into a folder.

    Meshes are in the user's own unit and axes, and show the first frame; everything else is in metres, z up.
    """
    pose, frame = subject.poses[0], subject.surfaces.frame
    bones = [pose.bone_mesh(bone.name) for bone in pose.skeleton.bones]
    (folder / "bones").mkdir()
    for bone, mesh in zip(pose.skeleton.bones, bones, strict=True):
        write_mesh(mesh.with_vertices(frame.to_mesh(mesh.vertices)), folder / "bones" / f"{bone.name}.ply")
    whole = joined(bones)
    write_mesh(whole.with_vertices(frame.to_mesh(whole.vertices)), folder / "skeleton.ply")
    skin = subject.surfaces.body.mesh(subject.surfaces.targets[0])
    write_mesh(skin.with_vertices(frame.to_mesh(skin.vertices)), folder / "body.ply")
    attributes: dict[str, Any] = {"source_file": str(content["source"]), "input_sha256": digest}
    attributes |= {
        "mesh_unit": frame.unit,
        "mesh_rotation": frame.rotation.ravel(),
    }  # by rows
    motion = skeleton_dataset(subject.poses, subject.surfaces.time)
    io.write(motion.assign_attrs(attributes), folder / "skeleton.nc")
    if len(subject.poses) > 1:
        io.write(keypoint_dataset(subject.chain, subject), folder / "keypoints.nc")
    with whole_file(folder / "subject.yaml") as temporary:
        temporary.write_text(chain_to_yaml(subject.chain), encoding="utf-8")
    write_json(content, folder / "report.json")
    save_figure(picture(subject), folder / "skeleton.png")


def picture(subject: Subject) -> Any:
    """Figure of the first frame, turned so that the pelvis faces forward."""
    pose = subject.poses[0]
    forward = pose.rotations[pose.part_index("pelvis")][:, 0]
    turn = np.arctan2(forward[1], forward[0])
    cosine, sine = np.cos(turn), np.sin(turn)
    level = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    skin = subject.surfaces.body.mesh(subject.surfaces.targets[0])
    bones = joined([pose.part_mesh(part) for part in pose.skeleton.parts])
    joints = {
        joint.name: level @ centre
        for joint, centre in zip(pose.skeleton.joints, pose.joint_centres(), strict=True)
    }
    skin, bones = (mesh.with_vertices(mesh.vertices @ level.T) for mesh in (skin, bones))
    return plot_skeleton(skin, bones, joints)
