"""The commands ``kinepose-ocp models``: list, show and check chains."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import kinepose_ocp as kp
from kinepose_ocp.chain import Dof
from kinepose_ocp.shipped import shipped_chains, shipped_couplings, shipped_layouts

models = typer.Typer(help="List, show and check chains.", rich_markup_mode=None)


@models.command("list")
def list_models() -> None:
    """List the shipped chains and layouts."""
    for name in shipped_chains():
        chain = kp.load_chain(name)
        print(f"{name}: {len(chain.joints)} joints, {len(chain.free_dofs)} free DOFs. {chain.description}")
    print(f"layouts: {', '.join(shipped_layouts())}\ncouplings: {', '.join(shipped_couplings())}")


@models.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="Name of a shipped chain, or a file")],
    couplings: Annotated[
        str | None, typer.Option(help="Coupled ranges of motion to add: name of shipped ones, or a file")
    ] = None,
) -> None:
    """Show the joints of a chain: lengths, DOFs, ranges of motion, single and coupled."""
    chain = chosen_chain(model, couplings)
    table = Table(title=f"{chain.name}: {chain.description}", title_justify="left")
    for column in ("joint", "parent", "length [mm]", "DOF", "ROM [degree, or m]"):
        table.add_column(column)
    for joint in chain.joints:
        length = f"{1000 * float(np.linalg.norm(joint.offset)):.0f}"
        rows = [(dof.name, _range(dof)) for dof in joint.dofs] or [("-", "fixed")]
        for i, (name, rom) in enumerate(rows):
            table.add_row(*((joint.name, joint.parent or "-", length) if i == 0 else ("", "", "")), name, rom)
    Console(width=100).print(table)
    if chain.coupled:
        Console(width=100).print(_coupled_table(chain))
    print(f"keypoints: {', '.join(chain.keypoints)}\nsource: {chain.source}")


def _coupled_table(chain: kp.Chain) -> Table:
    """Coupled ranges of motion [degree]."""
    table = Table(title="coupled ranges of motion", title_justify="left")
    for column in ("name", "what", "limits [degree]", "source"):
        table.add_column(column)
    for one in chain.coupled:
        for i, (what, first, second) in enumerate(one.described):
            limits = f"{np.degrees(first):.4g} .. {np.degrees(second):.4g}"
            table.add_row(*((one.name, what, limits, one.source) if i == 0 else ("", what, limits, "")))
    return table


def chosen_chain(model: str, couplings: str | None) -> kp.Chain:
    """Load a chain, with coupled ranges of motion when asked for."""
    chain = kp.load_chain(model)
    return chain if couplings is None else kp.load_couplings(couplings, chain)


def _range(dof: Dof) -> str:
    """Range of motion [degree, or m]."""
    lower, upper = dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper)
    return "locked" if dof.locked else f"{lower:.4g} .. {upper:.4g}"


@models.command("check")
def check_model(
    model: Annotated[str, typer.Argument(help="A file, or name of a shipped chain")],
    couplings: Annotated[
        str | None, typer.Option(help="Coupled ranges of motion to check with it: a file, or a shipped name")
    ] = None,
) -> None:
    """Check a chain file; says where it is wrong."""
    chain = chosen_chain(model, couplings)
    found = f"{len(chain.joints)} joints, {len(chain.free_dofs)} free DOFs, {len(chain.links)} links"
    coupled = f", {len(chain.coupled)} coupled ranges" if chain.coupled else ""
    print(f"{model}: in order: {found}{coupled}")
