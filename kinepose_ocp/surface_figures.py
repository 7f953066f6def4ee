"""Figures of skeletons inside bodies: what a user looks at to judge a placement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinepose_ocp.plotting.content import side_of
from kinepose_ocp.plotting.style import SIDE_COLOURS
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.shaded import View, picture

FRONT = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # rows: across, up, towards the camera
RIGHT = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
ROWS = 1500  # of the picture
TITLES = ("from the front", "from the right")
LABELS = {  # joint: text, in the front view; those of a side are written once
    "c0": "skull - atlas",
    "c7t1": "C7 - T1",
    "t12l1": "T12 - L1",
    "l5s1": "L5 - S1",
    "gh": "shoulder",
    "elbow": "elbow",
    "wrist": "wrist",
    "hip": "hip",
    "knee": "knee",
    "ankle": "ankle",
    "mtp": "toes",
}
SCALE = 0.2  # m


def plot_skeleton(skin: Mesh, bones: Mesh, joints: Mapping[str, np.ndarray], title: str = "") -> Figure:
    """Draw a skeleton inside its translucent skin, from the front and from the right side.

    Bones that reach out of the skin are seen uncovered. x forward, y left, z up.

    Parameters
    ----------
    bones
        All bones as one mesh [m].
    joints
        Centres (3,) [m] by name; ``_left`` and ``_right`` tell the side.
    title
        One line above.
    """
    views = [View.of(axes, np.vstack([skin.vertices, bones.vertices]), ROWS) for axes in (FRONT, RIGHT)]
    widths = [view.size[1] for view in views]
    height = 8.0
    figure = Figure(figsize=(height * sum(widths) / ROWS + 2.2, height + 0.5), layout="constrained")
    axes = figure.subplots(1, 2, width_ratios=widths)
    for ax, view, name in zip(axes, views, TITLES, strict=True):
        ax.imshow(picture(view, skin, bones), origin="lower", extent=view.extent, interpolation="antialiased")
        _mark(ax, view, joints)
        ax.set_title(name, fontsize=10)
        ax.set_axis_off()
    _label(axes[0], views[0], joints)
    _scale_bar(axes[1], views[1])
    styles: dict[str, Any] = {"ls": "", "marker": "o", "ms": 6, "mec": "white"}
    sides = [side for side in SIDE_COLOURS if any(side_of(name)[1] == side for name in joints)]
    handles = [
        Line2D([], [], color=SIDE_COLOURS[side], label=f"joint centre, {side}", **styles) for side in sides
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def _mark(ax: Axes, view: View, joints: Mapping[str, np.ndarray]) -> None:
    """Joint centres; near ones hide far ones."""
    for name, centre in sorted(joints.items(), key=lambda item: float(view.axes[2] @ item[1])):
        across, up = view.axes[:2] @ centre
        ax.plot(across, up, "o", ms=5.5, color=SIDE_COLOURS[side_of(name)[1]], mec="white", mew=0.8)


def _label(ax: Axes, view: View, joints: Mapping[str, np.ndarray]) -> None:
    """Write the names beside the body, each once, without overlap."""
    found = {
        text: joints[name]
        for joint, text in LABELS.items()
        for name in (joint, f"{joint}_left")
        if name in joints
    }
    places = {text: view.axes[:2] @ centre for text, centre in found.items()}
    _, right, bottom, top = view.extent
    gap = 0.034 * (top - bottom)
    height = np.inf
    for text, (across, up) in sorted(places.items(), key=lambda item: -item[1][1]):
        height = min(up, height - gap)
        note = ax.annotate(
            text,
            (across, up),
            (right + 0.02 * (top - bottom), height),
            fontsize=8.5,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#555555", "lw": 0.6, "shrinkA": 1, "shrinkB": 3},
        )
        note.set_path_effects([effects.withStroke(linewidth=2, foreground="white")])


def _scale_bar(ax: Axes, view: View) -> None:
    _, right, bottom, top = view.extent
    low = bottom + 0.012 * (top - bottom)
    ax.plot([right - SCALE, right], [low, low], color="#222222", lw=2, solid_capstyle="butt", clip_on=False)
    ax.text(
        right - SCALE / 2, low + 0.008 * (top - bottom), f"{100 * SCALE:.0f} cm", ha="center", fontsize=8.5
    )
