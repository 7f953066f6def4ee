"""Coupled ranges of motion as chain files say them (degrees): made from parsed data, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kinepose_ocp.chain import Chain
from kinepose_ocp.coupled_ranges import CoupledRange, LinearCoupling, SwingTwistCone
from kinepose_ocp.coupling_kernels import coupled_dofs, outside_at_rest
from kinepose_ocp.errors import ModelError


def with_coupled_data(chain: Chain, data: Mapping[str, Any], place: str) -> Chain:
    """Add the ``cones`` and ``couplings`` of parsed data to a chain.

    A coupled range that a locked DOF or the rest pose contradicts is a slip, unless it says ``accept:
    [locked, rest]``: motions are written so, whose hidden DOFs were held.

    Raises
    ------
    ModelError
        With place, what was given and what is possible.
    """
    given = [*data["cones"], *data["couplings"]]
    if not given:
        return chain
    made = [_cone(one) if "joint" in one else _coupling(one) for one in given]
    try:
        chain = chain.with_coupled(*made)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from None
    outside = outside_at_rest(chain)
    for accept, one in zip([set(one["accept"]) for one in given], made, strict=True):
        where = f"{place}: coupled range '{one.name}' in chain '{chain.name}'"
        locked = [name for name in coupled_dofs(chain, one) if chain.dofs[name].locked]
        if locked and "locked" not in accept:
            raise ModelError(
                f"{where}: '{locked[0]}' is locked; unlock it, or say 'accept: [locked]' to count it at rest"
            )
        for limit in one.limits:
            if limit.name in outside and "rest" not in accept:
                found, lower, upper = (math.degrees(v) for v in (outside[limit.name], *limit[1:]))
                raise ModelError(
                    f"{where}: the rest pose has {limit.name} at {found:.4g} degrees, outside "
                    f"[{lower:.4g}, {upper:.4g}]; change the limits, or say 'accept: [rest]'"
                )
    return chain


def coupled_data(chain: Chain, numbers: Callable[[Iterable[float]], list[float]]) -> dict[str, Any]:
    """Return the sections of a chain file that say its coupled ranges; none where there are none."""
    found: dict[str, list[dict[str, Any]]] = {}
    outside = outside_at_rest(chain) if chain.coupled else {}
    for one in chain.coupled:
        accept = ["locked"] if any(chain.dofs[name].locked for name in coupled_dofs(chain, one)) else []
        accept += [] if outside.keys().isdisjoint(limit.name for limit in one.limits) else ["rest"]
        data = {"name": one.name} | _said(one, numbers) | {"source": one.source}
        section = "cones" if isinstance(one, SwingTwistCone) else "couplings"
        found.setdefault(section, []).append(data | ({"accept": accept} if accept else {}))
    return dict(found)


def _cone(given: Mapping[str, Any]) -> SwingTwistCone:
    return SwingTwistCone(
        name=given["name"],
        joint=given["joint"],
        axis=_vector(given["axis"]),
        first=_vector(given["first"]),
        swing=(math.radians(given["swing"][0]), math.radians(given["swing"][1])),
        source=given["source"],
        center=None if given["center"] is None else _vector(given["center"]),
        twist=None
        if given["twist"] is None
        else (math.radians(given["twist"][0]), math.radians(given["twist"][1])),
    )


def _vector(given: tuple[float, float, float]) -> tuple[float, float, float]:
    """A nearly unit vector at exactly unit length; any other as it is, to be refused."""
    length = math.hypot(*given)
    if abs(length - 1) > 1e-4:
        return given
    x, y, z = (value / length for value in given)
    return (x, y, z)


def _coupling(given: Mapping[str, Any]) -> LinearCoupling:
    lower, upper = (math.radians(value) for value in given["limits"])
    return LinearCoupling(given["name"], dict(given["weights"]), lower, upper, given["source"])


def _said(one: CoupledRange, numbers: Callable[[Iterable[float]], list[float]]) -> dict[str, Any]:
    if isinstance(one, LinearCoupling):
        limits = numbers(math.degrees(angle) for angle in (one.lower, one.upper))
        return {"weights": dict(one.weights), "limits": limits}
    data: dict[str, Any] = {"joint": one.joint, "axis": numbers(one.axis), "first": numbers(one.first)}
    if one.center is not None:
        data["center"] = numbers(one.center)
    data["swing"] = numbers(math.degrees(angle) for angle in one.swing)
    if one.twist is not None:
        data["twist"] = numbers(math.degrees(angle) for angle in one.twist)
    return data
