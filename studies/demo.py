"""The main job on the bundled example: keypoints in, joint angles out, compared with the truth.

A walk that turns into an overarm throw (`models/examples/`), measured as a pose estimator does: white noise
and slow drift. Writes the motion, figures and an animation, and prints the angular errors of the whole
motion beside those of frame-by-frame inverse kinematics.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

import kinepose_ocp as kp
from kinepose_ocp import metrics, plotting
from kinepose_ocp.shipped import models_dir

EXAMPLE = models_dir() / "examples" / "walk_throw.csv"
TRUTH = models_dir() / "examples" / "walk_throw_truth.nc"


def main(folder: Path, frames: int | None = None) -> None:
    """Solve the first ``frames`` frames of the example (default: all) and write to ``folder``."""
    chain = kp.load_chain("fullbody")
    keypoints = kp.read_keypoints(EXAMPLE, chain=chain).isel(time=slice(frames))
    truth = kp.read_motion(TRUTH).isel(time=slice(frames))
    motion = kp.solve_motion(chain, keypoints)
    single = kp.solve_motion(chain, keypoints, solver="frame:ipopt")

    kp.write(motion, folder / "motion.nc")
    plotting.save_figure(plotting.plot_joint_angles(motion, truth=truth)[0], folder / "angles.png")
    plotting.save_figure(plotting.plot_key_frames(motion)[0], folder / "key_frames.png")
    plotting.animate(motion, folder / "motion.gif")
    report(truth, {"whole motion": motion, "frame by frame": single})
    print(f"written: {folder}/motion.nc, angles.png, key_frames.png, motion.gif")


def report(truth, motions) -> None:
    """Print the angular errors of several solutions."""
    table = Table(title="Error against the truth: mean angle between true and found orientation [degree]")
    for column in (
        "",
        "all joints",
        "lower limbs",
        "above a straight elbow or knee",
        "above a bent one",
        "ms a frame",
    ):
        table.add_column(column, justify="left" if not column else "right")
    for name, motion in motions.items():
        error = metrics.summary(motion, truth)
        milliseconds = 1000 * float(motion.solve_seconds + motion.guess_seconds) / motion.sizes["time"]
        values = [
            error[key] for key in ("mpjas_global", "mpjas_global_lower_limbs", "straight_error", "bent_error")
        ]
        table.add_row(name, *(f"{value:.2f}" for value in values), f"{milliseconds:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/demo"))
    main(parser.parse_args().output)
