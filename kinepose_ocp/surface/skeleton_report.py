"""What a user must know before relying on a skeleton: misfit, bones, joints, proportions, limits."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from kinepose_ocp.surface import anthropometry
from kinepose_ocp.surface.registration_checks import Residual
from kinepose_ocp.surface.subject import Subject, worst

SCHEMA = 1
LEAST_INSIDE = 98.0  # percent of the bones' area
MOST_PROTRUSION = 10.0  # mm, of trunk, arms and legs without hands and feet
MOST_GAP = 8.0  # mm, of a loose joint
ADULT = (1.40, 2.10)  # m
PACKAGES = ("kinepose_ocp", "casadi", "numpy", "scipy", "trimesh", "libigl")
LIMITS = (
    "The bones are one template, scaled; hip depth, curvature of the spine, torsion of the femur and "
    "differences between left and right are not determined by the skin.",
    "The template and the body model are of adults: children are extrapolated.",
    "Not for medical use.",
)


def report(subject: Subject, source: str) -> dict[str, Any]:
    """Return the content of ``report.json``: plain numbers with their units in the names.

    Parameters
    ----------
    source
        Name of the user's file.
    """
    surfaces, bones = subject.surfaces, worst(subject.qualities)
    found: dict[str, Any] = {"schema": SCHEMA, "source": source, "warnings": warnings(subject)}
    found["body"] = {
        "frames": len(subject.poses),
        "stature_m": round(surfaces.stature, 4),
        "shape": [round(float(value), 4) for value in surfaces.shape],
        "mesh_unit": surfaces.frame.unit,
        "mesh_up": surfaces.frame.up,
        "notes": list(surfaces.notes),
    }
    if surfaces.residuals:
        found["registration"] = _registration(max(surfaces.residuals, key=lambda each: each.mean_mm))
    found["bones"] = {
        "judged_frames": [number + 1 for number in subject.judged],
        "inside_percent": round(bones.inside_percent, 3),
        "more_than_2_mm_outside_percent": round(bones.beyond_percent, 3),
        "protrusion_mm": round(max(each.protrusion_mm for each in subject.qualities), 2),
        "protrusion_without_hands_and_feet_mm": round(_protrusion(subject), 2),
        "inside_percent_by_part": {part: round(value, 2) for part, value in bones.inside_of.items()},
    }
    found["joints"] = {
        "gap_of_balls_and_hinges_mm": round(max(each.hard_gap_mm for each in subject.qualities), 4),
        "gap_of_loose_joints_mm": round(_gap(subject), 2),
        "largest_overlap_of_neighbours_mm": round(
            max(max(each.overlap_of.values(), default=0.0) for each in subject.qualities), 2
        ),
        "overlap_of_neighbours_mm": {joint: round(value, 2) for joint, value in bones.overlap_of.items()},
        "hinge_limits_reached_at_rest": subject.hinges_at_limit[0],
        "hinge_limits_reached_in_poses": list(subject.hinges_at_limit[1:]),
    }
    if subject.regressed is not None:
        sizes = {part: round(size, 4) for part, size in subject.regressed.of_part.items()}
        found["regressor"] = {"population": subject.regressed.population, "size_for_the_stature": sizes}
    found["scales"] = {
        part: [round(float(value), 4) for value in scale]
        for part, scale in zip(subject.resting.skeleton.parts, subject.resting.scales, strict=True)
    }
    found["anthropometry"] = [_proportion(one) for one in subject.proportions]
    found["limits"] = list(LIMITS)
    found["versions"] = {name: importlib.metadata.version(name) for name in PACKAGES}
    return found


def warnings(subject: Subject) -> list[str]:
    """One line for everything that is beyond what a good skeleton shows."""
    found, bones = [], worst(subject.qualities)
    if bones.inside_percent < LEAST_INSIDE:
        found.append(f"only {bones.inside_percent:.1f} % of the bones' area lies inside the skin")
    if (out := _protrusion(subject)) > MOST_PROTRUSION:
        found.append(f"a bone of trunk, arms or legs reaches {out:.0f} mm out of the skin")
    if (gap := _gap(subject)) > MOST_GAP:
        found.append(f"a joint of the shoulder girdle gapes by {gap:.0f} mm")
    if subject.hinges_at_limit[0]:
        found.append(f"{subject.hinges_at_limit[0]} hinges are at an end of their range in the rest pose")
    if not ADULT[0] <= subject.surfaces.stature <= ADULT[1]:
        found.append(f"a stature of {subject.surfaces.stature:.2f} m is extrapolated")
    return found + anthropometry.warnings(subject.proportions)


def _protrusion(subject: Subject) -> float:
    return max(each.trunk_protrusion_mm for each in subject.qualities)


def _gap(subject: Subject) -> float:
    return max(each.loose_gap_mm for each in subject.qualities)


def _registration(residual: Residual) -> dict[str, Any]:
    """Distances of the worst frame."""
    return {
        "body_to_mesh_mean_mm": round(residual.body_to_mesh_mean_mm, 3),
        "body_to_mesh_95_percent_mm": round(residual.body_to_mesh_95_mm, 3),
        "mesh_to_body_mean_mm": round(residual.mesh_to_body_mean_mm, 3),
        "mesh_to_body_95_percent_mm": round(residual.mesh_to_body_95_mm, 3),
        "holes_percent": round(100 * residual.holes, 2),
        "mean_mm_by_part": {part: round(value, 2) for part, value in residual.part_mm.items()},
    }


def _proportion(one: anthropometry.Proportion) -> dict[str, Any]:
    return {
        "segment": one.segment,
        "length_mm": round(1000 * one.length, 1),
        "percent_of_stature": round(100 * one.share, 2),
        "deviation_percent": {source: round(value, 1) for source, value in one.deviations.items()},
        "outside_of_all_sources_percent": round(float(one.outside), 1),
    }
