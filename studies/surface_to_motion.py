"""From a moving body surface to joint angles: what a chain made from the surface is worth.

The open body walks by known rotations of its rig. Its skeleton is placed and posed inside the skin; keypoints
are the joint centres and landmarks of these bones with noise. The whole motion is solved twice: with the
chain made from the surface, and with the general chain ``fullbody`` whose segment lengths are estimated from
the points. Errors are angles between the bones and the segments that the solutions found. The bones are those
of this project's own placement, so this says what a chain that fits the points is worth, not how true the
bones are.
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp import metrics, plotting
from kinepose_ocp.surface import open_body
from kinepose_ocp.surface.bone_keypoints import chain_rotations, keypoint_dataset
from kinepose_ocp.surface.command import default_skeleton
from kinepose_ocp.surface.skeleton_dataset import quaternions
from kinepose_ocp.surface.subject import Subject, make_subject
from kinepose_ocp.surface.surfaces import Surfaces, of_poses
from kinepose_ocp.synthetic import measure

RATE, STRIDE = 30.0, 1.2  # Hz, s
SHAPE_SEED = 3
POINTS = (  # what a detector with feet gives
    *("pelvis", "spine", "neck", "nose", "head"),
    *(
        f"{name}_{side}"
        for side in ("right", "left")
        for name in ("hip", "knee", "ankle", "heel", "toe_big", "toe_small", "shoulder", "elbow", "wrist")
    ),
)
SEGMENTS = {  # joint of the chain: what a reader calls the segment below it
    "pelvis": "pelvis",
    "lumbar": "lumbar spine",
    "thorax": "thorax",
    "hip": "thigh",
    "knee": "shank",
    "ankle": "foot",
    "shoulder": "upper arm",
    "elbow": "forearm",
}
WAYS = {"subject": "chain from the surface", "fullbody": "general chain, lengths estimated"}
COLOURS = {"subject": "#0077BB", "fullbody": "#EE7733"}
BONES = "#222222"


def main(folder: Path, frames: int = 54, noise: float = 0.005, seed: int = 3000) -> xr.Dataset:
    """Solve both ways, write Dataset and figure, and return the Dataset.

    noise: standard deviation of the points per axis [m].
    """
    subject = make_subject(walking(frames), default_skeleton())
    exact = keypoint_dataset(subject.chain, subject, POINTS)
    points = measure(exact.rename(position="keypoint_position"), noise=noise, seed=seed)
    truth = bone_orientations(subject)
    chains = {"subject": (subject.chain, "model"), "fullbody": (kp.load_chain("fullbody"), "estimate")}
    motions = {
        way: kp.solve_motion(chain, points, lengths=lengths) for way, (chain, lengths) in chains.items()
    }
    result = compare(motions, truth).assign_attrs(noise_mm=1000 * noise, seed=seed)
    kp.write(result, folder / "surface_to_motion.nc")
    plotting.save_figure(figure(result), folder / "surface_to_motion.png")
    report(result)
    return result


def walking(frames: int) -> Surfaces:
    """The open body, with a shape of its own, walking on the spot."""
    body = open_body()
    phase = 2 * np.pi * np.arange(frames) / RATE / STRIDE
    turns = {name: Rotation.identity(frames) for name in body.joint_names}
    for side, sign, shift in (("left", 1, 0.0), ("right", -1, np.pi)):
        swing = phase + shift
        bend = 12 + 50 * np.clip(np.sin(swing - 0.4), 0, 1) ** 2
        turns[f"upperleg_{side}"] = _about((0, -1, 0), 8 + 24 * np.sin(swing))
        turns[f"lowerleg_{side}"] = _about((0, 1, 0), bend)
        turns[f"foot_{side}"] = _about((0, -1, 0), 8 * np.sin(swing + 0.5))
        hanging = _about((-sign, 0, 0), np.full(frames, 30.0))
        turns[f"upperarm_{side}"] = _about((0, 1, 0), 22 * np.sin(swing)) * hanging
        arm, hand = (body.joint_index(f"{name}_{side}") for name in ("upperarm", "wrist"))
        elbow = body.joint_template[body.joint_index(f"lowerarm_{side}")]
        axis = np.cross(elbow - body.joint_template[arm], body.joint_template[hand] - elbow)
        turns[f"lowerarm_{side}"] = _about(axis / np.linalg.norm(axis), 20 - 18 * np.sin(swing))
    turns["spine02"] = _about((0, 0, 1), 6 * np.sin(phase)) * _about((0, 1, 0), 4 + 2 * np.sin(2 * phase))
    turns["root"] = _about((0, 0, 1), -5 * np.sin(phase))
    rotations = np.stack([turns[name].as_rotvec() for name in body.joint_names], axis=1)
    travel = np.zeros((frames, 3))
    travel[:, 2] = 0.015 * np.cos(2 * phase)
    shape = np.random.default_rng(SHAPE_SEED).normal(size=body.shape_count)
    return of_poses(body, shape, rotations, travel, RATE)


def _about(axis, degrees) -> Rotation:
    return Rotation.from_rotvec(np.radians(degrees)[:, None] * np.array(axis))


def bone_orientations(subject: Subject) -> xr.Dataset:
    """Orientation of the bones as a motion that solutions can be compared with."""
    turns = chain_rotations(subject.chain, subject)
    values = quaternions(np.stack(list(turns.values()), axis=1))
    coords = {"time": subject.surfaces.time, "joint": list(turns), "quaternion": list("wxyz")}
    return xr.Dataset({"orientation_global": (("time", "joint", "quaternion"), values)}, coords)


def compare(motions: dict[str, xr.Dataset], truth: xr.Dataset) -> xr.Dataset:
    """Angle [degree] between bones and solution by way, time and segment; knee flexion of all three."""
    errors = xr.concat([metrics.angular_error(motion, truth) for motion in motions.values()], dim="way")
    errors = errors.assign_coords(way=list(motions))
    segments = {}
    for joint, segment in SEGMENTS.items():
        names = [name for name in (joint, f"{joint}_right", f"{joint}_left") if name in errors.joint.values]
        segments[segment] = errors.sel(joint=names).mean("joint")
    flexion = {"bones": knee_flexion(truth)} | {way: knee_flexion(motion) for way, motion in motions.items()}
    return xr.Dataset(
        {
            "error": xr.concat(segments.values(), dim="segment").assign_coords(segment=list(segments)),
            "knee_flexion": xr.concat(flexion.values(), dim="source").assign_coords(source=list(flexion)),
        }
    )


def knee_flexion(motion: xr.Dataset) -> xr.DataArray:
    """Flexion of the right knee [degree] as thigh and shank stand to each other."""
    thigh, shank = (
        Rotation.from_quat(motion.orientation_global.sel(joint=f"{joint}_right").values[:, [1, 2, 3, 0]])
        for joint in ("hip", "knee")
    )
    between = (thigh.inv() * shank).as_matrix()
    return xr.DataArray(
        np.degrees(np.arctan2(between[:, 0, 2], between[:, 0, 0])), {"time": motion.time.values}
    )


def report(result: xr.Dataset) -> None:
    """Print the mean errors by segment."""
    mean = result.error.mean("time")
    print(f"mean angle between bones and solution [degree], points with {result.noise_mm:.0f} mm of noise")
    print(f"{'':14s}" + "".join(f"{WAYS[str(way)]:>36s}" for way in result.way.values))
    for segment in result.segment.values:
        row = mean.sel(segment=segment)
        print(f"{segment:14s}" + "".join(f"{float(row.sel(way=way)):36.1f}" for way in result.way.values))
    print(f"{'all':14s}" + "".join(f"{float(mean.sel(way=way).mean()):36.1f}" for way in result.way.values))


def figure(result: xr.Dataset) -> Figure:
    """Errors by segment, and the knee over time."""
    drawing = Figure(figsize=(10, 4.2), layout="constrained")
    bars, curve = drawing.subplots(1, 2)
    mean, place = result.error.mean("time"), np.arange(result.sizes["segment"])
    for number, (way, text) in enumerate(WAYS.items()):
        height = mean.sel(way=way).values
        bars.barh(place + 0.4 * number - 0.2, height, 0.38, color=COLOURS[way], label=text)
        for y, x in zip(place + 0.4 * number - 0.2, height, strict=True):
            bars.text(x, y, f" {x:.1f}", va="center", fontsize=8)
        curve.plot(result.time, result.knee_flexion.sel(source=way), color=COLOURS[way], lw=1.6, label=text)
    bars.set_yticks(place, [str(segment) for segment in result.segment.values])
    bars.invert_yaxis()
    bars.set_xlim(0, 1.12 * float(mean.max()))
    bars.set_xlabel("mean angle between bone and solution [°]")
    curve.plot(result.time, result.knee_flexion.sel(source="bones"), "--", color=BONES, lw=1.4, label="bones")
    curve.set_xlabel("time [s]")
    curve.set_ylabel("flexion of the right knee [°]")
    drawing.legend(handles=curve.lines, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    plotting.unframed(bars, curve)
    drawing.suptitle(f"Walking body surface, keypoints with {result.noise_mm:.0f} mm of noise", fontsize=11)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/surface_to_motion"))
    main(parser.parse_args().output)
