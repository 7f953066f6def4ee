"""Keypoint layouts: the order and names in which a pose estimator gives its points.

A layout file (``models/layouts/NAME.yaml``) lists the points in their order and says which chain keypoint
each one is; a chain may override the latter in its own ``layouts`` section.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kinepose_ocp.chain import Chain
from kinepose_ocp.errors import ModelError, possible
from kinepose_ocp.shipped import models_dir, shipped_layouts
from kinepose_ocp.yaml_file import read_yaml


@dataclass(frozen=True)
class Layout:
    """Names of the points in order, and the chain keypoints that each one stands for."""

    name: str
    points: tuple[str, ...]
    targets: Mapping[str, tuple[str, ...]]


def load_layout(name: str, chain: Chain | None = None) -> Layout:
    """Load a layout by name; ``chain`` may override which keypoints its points are.

    Raises
    ------
    ModelError
        When there is no layout of that name, or ``chain`` overrides a point that it has not.
    """
    own = chain.layouts if chain is not None else {}
    overrides = own.get(name, {})
    if name in shipped_layouts():
        path = models_dir() / "layouts" / f"{name}.yaml"
        points, mapping = _parse(read_yaml(path), str(path))
    elif name in own:
        points, mapping = tuple(overrides), {}
    else:
        options = sorted({*shipped_layouts(), *own})
        raise ModelError(f"no layout '{name}'; {possible(name, options)}")
    for point in overrides:
        if point not in points:
            raise ModelError(f"the chain's layouts.{name}: no point '{point}'; {possible(point, points)}")
    mapping = {**mapping, **overrides}
    targets = {}
    for point in points:
        target = mapping.get(point, [])
        targets[point] = (target,) if isinstance(target, str) else tuple(target)
    return Layout(name, points, targets)


def _parse(data: object, place: str) -> tuple[tuple[str, ...], dict[str, str | list[str]]]:
    """Check a layout file: ``{schema: 1, source: ..., points: [{point: chain keypoint}, ...]}``."""
    if not isinstance(data, dict) or not isinstance(data.get("points"), dict) or data.get("schema") != 1:
        raise ModelError(
            f"{place}: a layout file has 'schema: 1', 'source' and 'points: {{point: chain keypoint}}'"
        )
    points = {str(point): target or [] for point, target in data["points"].items()}
    return tuple(points), points
