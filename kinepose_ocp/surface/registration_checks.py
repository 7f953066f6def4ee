"""What a registration must show before anyone may rely on it, measured on the two surfaces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.correspondence import Surface, sampled, spread_vertices

MESH_SAMPLES = 6000
COARSE = 3000  # points of a body, and of a mesh, that are measured in sequences
AGREEING = 0.5  # cosine of 60 deg between normals that agree


@dataclass(frozen=True)
class Bars:
    """What is refused. Distances [mm] between surfaces, shares of the body's area, stature [m].

    part_...: of any one part of the body (a hand, a foot ...).
    """

    mean_mm: float = 6.0
    most_mm: float = 15.0  # that 95 % stay below
    nearly_all_mm: float = 30.0  # that 99 % of the mesh stay below: one hand is 2 % of the skin
    part_mean_mm: float = 9.0
    holes: float = 0.12
    part_holes: float = 0.6
    normals: float = 0.85
    part_normals: float = 0.65
    stature_m: tuple[float, float] = (0.8, 2.3)


@dataclass(frozen=True)
class Residual:
    """Distances [mm] between a fitted body and a mesh, and what of the body the mesh has.

    body_to_mesh: from the body's skin where the mesh is whole; mesh_to_body: from points spread over the
    mesh; holes: share of the body's area next to which the mesh has a hole; normals: share of the rest where
    normals agree within 60 deg; part_mm, part_normals, part_holes: the same of every part of the body.
    """

    body_to_mesh_mean_mm: float
    body_to_mesh_95_mm: float
    mesh_to_body_mean_mm: float
    mesh_to_body_95_mm: float
    mesh_to_body_99_mm: float
    holes: float
    normals: float
    part_mm: dict[str, float] = field(default_factory=dict)
    part_normals: dict[str, float] = field(default_factory=dict)
    part_holes: dict[str, float] = field(default_factory=dict)

    @property
    def mean_mm(self) -> float:
        """The larger of both mean distances."""
        return max(self.body_to_mesh_mean_mm, self.mesh_to_body_mean_mm)

    @property
    def most_mm(self) -> float:
        """The larger of both distances that 95 % stay below."""
        return max(self.body_to_mesh_95_mm, self.mesh_to_body_95_mm)


@dataclass(frozen=True, eq=False)
class Gauge:
    """At which of a body's vertices (N,) distances are measured, each standing for those next to it (V,).

    samples: at how many points of a mesh.
    """

    numbers: np.ndarray
    stands_for: np.ndarray
    samples: int

    @classmethod
    def full(cls, body: LinearBody) -> Gauge:
        every = np.arange(len(body.template))
        return cls(every, every, MESH_SAMPLES)

    @classmethod
    def coarse(cls, body: LinearBody) -> Gauge:
        """About every fourth vertex, for the many meshes of a sequence."""
        numbers = spread_vertices(body.template, COARSE, np.zeros(0, dtype=np.int64))
        return cls(numbers, cKDTree(body.template[numbers]).query(body.template)[1], COARSE)


def measured(body: LinearBody, posed: Posed, surface: Surface, gauge: Gauge | None = None) -> Residual:
    """Measure a posed body against a surface [m], both ways, exactly between triangles."""
    at, skin = gauge or Gauge.full(body), body.mesh(posed)
    found = surface.closest(skin.vertices[at.numbers])
    area = np.bincount(at.stands_for, skin.vertex_areas(), minlength=len(at.numbers))
    whole = np.where(found.at_hole, 0.0, area)
    agree = (found.normals * skin.vertex_normals()[at.numbers]).sum(1) > AGREEING
    points = sampled(surface.mesh, at.samples)
    back = Surface(skin).closest(points.points).distance * 1e3
    there = found.distance * 1e3
    parts = np.full(len(area), "body") if body.vertex_parts is None else body.vertex_parts[at.numbers]
    groups = {name: parts == name for name in _main_parts(parts, area)}
    return Residual(
        body_to_mesh_mean_mm=_mean(there, whole),
        body_to_mesh_95_mm=_quantile(there, whole, 0.95),
        mesh_to_body_mean_mm=float(back.mean()),
        mesh_to_body_95_mm=float(np.quantile(back, 0.95)),
        mesh_to_body_99_mm=float(np.quantile(back, 0.99)),
        holes=_mean(found.at_hole, area),
        normals=_mean(agree, whole),
        part_mm={name: _mean(there[group], whole[group]) for name, group in groups.items()},
        part_normals={name: _mean(agree[group], whole[group]) for name, group in groups.items()},
        part_holes={name: _mean(found.at_hole[group], area[group]) for name, group in groups.items()},
    )


def _main_parts(parts: np.ndarray, area: np.ndarray) -> list[str]:
    """Names of the parts with at least 1 % of the skin."""
    return [str(name) for name in np.unique(parts) if area[parts == name].sum() > 0.01 * area.sum()]


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else 0.0


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(cumulated, share * cumulated[-1]), len(order) - 1)])


def misfit(residual: Residual, bars: Bars) -> str | None:
    """Return in one line why a fit is not where the mesh is, or None; another start may do better."""
    if residual.mean_mm > bars.mean_mm:
        return _distances(residual, bars)
    part = _parts_refused(residual, bars)
    if part is not None:
        return part
    if residual.most_mm > bars.most_mm:
        return _distances(residual, bars)
    if residual.mesh_to_body_99_mm > bars.nearly_all_mm:
        return (
            f"the mesh has something that the body has not: 99% of it are within "
            f"{residual.mesh_to_body_99_mm:.1f} mm of the body, at most {bars.nearly_all_mm:g} mm"
        )
    return None


def _distances(residual: Residual, bars: Bars) -> str:
    return (
        f"the body does not fit the mesh: mean distance {residual.body_to_mesh_mean_mm:.1f} mm from body "
        f"to mesh and {residual.mesh_to_body_mean_mm:.1f} mm back (at most {bars.mean_mm:g} mm), "
        f"95% within {residual.most_mm:.1f} mm (at most {bars.most_mm:g} mm)"
    )


def _parts_refused(residual: Residual, bars: Bars) -> str | None:
    part = max(residual.part_mm, key=lambda name: residual.part_mm[name])
    if residual.part_mm[part] > bars.part_mean_mm:
        return (
            f"the body's {part} does not fit the mesh: mean distance {residual.part_mm[part]:.1f} mm, "
            f"at most {bars.part_mean_mm:g} mm"
        )
    part = max(residual.part_holes, key=lambda name: residual.part_holes[name])
    if residual.part_holes[part] > bars.part_holes:
        return (
            f"the mesh lacks {residual.part_holes[part]:.0%} of the body's {part}; "
            f"at most {bars.part_holes:.0%} of a part may be missing"
        )
    part = min(residual.part_normals, key=lambda name: residual.part_normals[name])
    if residual.part_normals[part] < bars.part_normals:
        return (
            f"the skin of the body's {part} faces as the mesh does on {residual.part_normals[part]:.0%} "
            f"of its area only; at least {bars.part_normals:.0%} are needed"
        )
    return None


def implausible(residual: Residual, stature_m: float, bars: Bars) -> str | None:
    """Return in one line why a mesh that is fitted is refused all the same, or None."""
    if residual.holes > bars.holes:
        return (
            f"the mesh has holes where {residual.holes:.1%} of the body's skin should be; "
            f"at most {bars.holes:.0%} may be missing"
        )
    if residual.normals < bars.normals:
        return (
            f"the skin faces as the mesh does on {residual.normals:.0%} of the body only; "
            f"at least {bars.normals:.0%} are needed"
        )
    least, most = bars.stature_m
    if not least <= stature_m <= most:
        return f"the body would be {stature_m:.2f} m tall; possible: {least:g} to {most:g} m"
    return None
