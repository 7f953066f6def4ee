"""Figures and clips of a motion: Dataset -> Axes, readable without the code.

Every function is pure in its Dataset and builds :class:`matplotlib.figure.Figure` objects directly, so
that no window system and no global figure is needed.
"""

from kinepose_ocp.plotting.clip import CLIP_ENDINGS, animate
from kinepose_ocp.plotting.joint_angles import plot_joint_angles
from kinepose_ocp.plotting.stick_figures import plot_key_frames
from kinepose_ocp.plotting.style import FIGURE_ENDINGS, SIDE_COLOURS, save_figure, unframed

__all__ = [
    "CLIP_ENDINGS",
    "FIGURE_ENDINGS",
    "SIDE_COLOURS",
    "animate",
    "plot_joint_angles",
    "plot_key_frames",
    "save_figure",
    "unframed",
]
