"""The body as lines between joints, over its measured points."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinepose_ocp.errors import DataError
from kinepose_ocp.plotting.scene import Scene, box, nearest, scene_of, seen
from kinepose_ocp.plotting.style import SIDE_COLOURS

MEASURED, GROUND = "#666666", "#DDDDDD"


def plot_key_frames(motion: xr.Dataset, count: int = 6, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the body at ``count`` equally spaced times in a row, seen from its right front.

    The view is along a fixed direction of the chain's frame. Each figure is moved to its place in the
    row; heights stay. A measured point further than one body size from the body is left out.

    Returns
    -------
    tuple
        The figure and its only Axes.

    Raises
    ------
    DataError
        When ``count`` is below 1 or the joint positions are missing.
    """
    if count < 1:
        raise DataError(f"count of key frames is {count}; possible: 1 or more")
    scene = scene_of(motion)
    frames = np.unique(nearest(scene.time, np.linspace(scene.time[0], scene.time[-1], count)))
    low, high = box(scene.around_centre()[frames])
    wide, tall = high - low
    if ax is None:
        size = max(2.6 * len(frames) * wide / tall, 3.6), 3.3
        ax = Figure(figsize=size, layout="constrained").add_subplot()
    floor = seen(np.array([0, 0, scene.corners[0, 2]]))[1]
    ax.axhline(floor, color=GROUND, lw=1, zorder=0)
    for i, frame in enumerate(frames):
        Body(ax, scene).show(frame, np.array([i * wide, 0]) - scene.centre[frame])
        ax.text(i * wide, low[1], f"{scene.time[frame]:.2f} s", ha="center", va="top", fontsize=9)
    ax.set_xlim(low[0], (len(frames) - 1) * wide + high[0])
    ax.set_ylim(low[1] - 0.1 * tall, high[1])
    ax.set_aspect("equal")
    ax.set_axis_off()
    above = {"bbox_to_anchor": (0.5, 1), "ncols": 4}
    ax.legend(handles=legend_of(scene), loc="lower center", fontsize=8, frameon=False, **above)
    return cast(Figure, ax.figure), ax


def _measured_dots() -> Line2D:
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "fillstyle": "none", "markersize": 4}
    return Line2D([], [], color=MEASURED, markeredgewidth=0.8, label="measured", zorder=4, **style)


class Body:
    """The artists of one body, made once and moved from frame to frame."""

    def __init__(self, ax: Axes, scene: Scene):
        self.scene = scene
        self.bones = LineCollection([], linewidths=2.5, capstyle="round", zorder=2)
        ax.add_collection(self.bones, autolim=False)
        (self.joints,) = ax.plot([], [], ls="", marker=".", ms=4, color=SIDE_COLOURS["middle"], zorder=3)
        self.measured = ax.add_line(_measured_dots())

    def show(self, frame: int, shift: np.ndarray | float = 0.0) -> None:
        """Draw a frame moved by ``shift`` [m] in the picture; near bones hide far ones."""
        bones = self.scene.bones[frame]
        order = np.argsort(bones[..., 2].mean(axis=1))
        self.bones.set_segments(list(bones[order, :, :2] + shift))
        self.bones.set_color([SIDE_COLOURS[self.scene.sides[i]] for i in order])
        self.joints.set_data(*(self.scene.joints[frame, :, :2] + shift).T)
        self.measured.set_data(*(self.scene.measured[frame, :, :2] + shift).T)


def legend_of(scene: Scene) -> list[Line2D]:
    """Return the handles of what is drawn."""
    sides = [side for side in SIDE_COLOURS if side in scene.sides]
    handles = [Line2D([], [], color=SIDE_COLOURS[side], lw=2.5, label=side) for side in sides]
    if np.isfinite(scene.measured).any():
        handles.append(_measured_dots())
    return handles
