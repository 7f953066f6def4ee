"""A clip of the body over its measured points, in real time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file
from kinepose_ocp.plotting.scene import Scene, box, nearest, scene_of
from kinepose_ocp.plotting.stick_figures import GROUND, MEASURED, Body, legend_of

CLIP_ENDINGS = (".gif", ".mp4")


def animate(motion: xr.Dataset, path: str | Path, fps: float | None = None, max_frames: int = 150) -> None:
    """Write a clip of the body over its measured points, in real time.

    The view is fixed to the ground and holds the whole motion; it follows a body that travels far. Where
    ``fps`` would need more than ``max_frames`` pictures, fewer are shown a second, at the same speed.

    Parameters
    ----------
    motion
        A motion with ``joint_position`` [m] and, where they exist, keypoint positions [m].
    path
        A ``.gif``, or an ``.mp4`` where the program ffmpeg is installed.
    fps
        Pictures a second [Hz], at most 50; by default the motion's own rate, at most 25.
    max_frames
        Upper limit of the number of pictures.

    Raises
    ------
    DataError
        For another file ending, a missing ffmpeg, an unusable number or missing joint positions.
    """
    path = Path(path)
    scene = scene_of(motion)
    frames, interval = clip_frames(scene.time, fps, max_frames)
    writer = _writer(path, interval)
    follows = np.linalg.norm(np.ptp(scene.corners, axis=0)[:2]) > 3.5 * scene.size
    low, high = box(scene.around_centre() if follows else scene.points())
    middle = scene.centre if follows else np.zeros_like(scene.centre)
    figure = _figure(scene, high - low)
    ax, title = figure.axes[0], figure.texts[-1]
    body = Body(ax, scene)
    with whole_file(path) as temporary, writer.saving(figure, str(temporary), dpi=80):
        for frame in frames:
            (left, bottom), (right, top) = middle[frame] + low, middle[frame] + high
            ax.axis((left, right, bottom, top))
            title.set_text(f"{scene.time[frame]:.2f} s")
            body.show(frame)
            writer.grab_frame()


def _figure(scene: Scene, extent: np.ndarray) -> Figure:
    """Make the picture of a view of ``extent`` [m], with ground, legend and a title to fill in."""
    width, height = np.maximum(5.6 * extent / extent.max(), [3.4, 2.0])
    figure = Figure(figsize=(width, height + 0.4))
    ax = figure.add_axes((0, 0, 1, height / (height + 0.4)))
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.add_collection(LineCollection(list(scene.ground()), colors=GROUND, linewidths=0.7, zorder=0))
    figure.text(0.99, 0.01, f"grid {scene.grid:g} m", ha="right", fontsize=7, color=MEASURED)
    figure.text(0.02, 0.98, "", va="top", fontsize=11)
    spaces = {"columnspacing": 1.0, "handletextpad": 0.4, "handlelength": 1.2}
    figure.legend(handles=legend_of(scene), loc="upper right", ncols=4, fontsize=7, frameon=False, **spaces)
    return figure


def clip_frames(time: np.ndarray, fps: float | None, max_frames: int) -> tuple[np.ndarray, float]:
    """Choose the frames of a clip and the time between two of them [s], in steps of 10 ms as in GIF."""
    if max_frames < 1:
        raise DataError(f"max_frames is {max_frames}; possible: 1 or more")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise DataError(f"fps is {fps:g} Hz; possible: a positive number")
    duration = float(time[-1] - time[0])
    own = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    interval = max(0.04, own) if fps is None else max(0.02, 1 / fps)  # browsers slow down below 20 ms
    interval = max(interval, duration / max(max_frames - 1, 1))
    interval = math.ceil(100 * interval - 1e-6) / 100
    wanted = time[0] + interval * np.arange(math.floor(duration / interval + 1e-6) + 1)
    return nearest(time, wanted[:max_frames]), interval


def _writer(path: Path, interval: float) -> AbstractMovieWriter:
    if path.suffix.lower() not in CLIP_ENDINGS:
        options = ", ".join(CLIP_ENDINGS)
        raise DataError(f"{path}: no clip has the ending '{path.suffix}'; possible: {options}")
    # the writers take fractions of a picture a second; the one of GIF truncates 1000 / fps to whole ms
    rate: Any = float(np.nextafter(1 / interval, 0))
    if path.suffix.lower() == ".gif":
        return PillowWriter(fps=rate)
    if not FFMpegWriter.isAvailable():
        missing = "an .mp4 needs the program ffmpeg, which was not found"
        raise DataError(f"{path}: {missing}; write a .gif instead")
    return FFMpegWriter(fps=rate)
