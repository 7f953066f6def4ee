"""Meshes: their geometry, and files."""

import builtins

import numpy as np
import pytest

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.mesh import Mesh, read_mesh, write_mesh

CORNERS = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
CUBE = Mesh(CORNERS, np.array([[a, b, c] for a, b, c, _ in SIDES] + [[a, c, d] for a, _, c, d in SIDES]))


def test_a_cube_is_closed_and_has_the_volume_and_normals_of_a_cube():
    assert CUBE.is_closed() and CUBE.volume() == pytest.approx(1.0)
    assert not Mesh(CUBE.vertices, CUBE.faces[1:]).is_closed()
    assert (CUBE.vertex_normals() * (CORNERS - 0.5) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(CUBE.vertex_normals(), axis=1), 1.0)
    assert CUBE.with_vertices(2 * CORNERS).volume() == pytest.approx(8.0)


def test_a_cube_has_the_area_and_edges_of_a_cube():
    """Six squares, each of two triangles: 12 edges and 6 diagonals; an open one has a rim of three."""
    np.testing.assert_allclose(CUBE.vertex_areas().sum(), 6.0)
    around = [sum(vertex in face for face in CUBE.faces.tolist()) / 6 for vertex in range(8)]
    np.testing.assert_allclose(CUBE.vertex_areas(), around)
    edges, faces = CUBE.connectivity.edges
    lengths = np.linalg.norm(CORNERS[edges[:, 0]] - CORNERS[edges[:, 1]], axis=1)
    np.testing.assert_allclose(np.sort(lengths), [1.0] * 12 + [2**0.5] * 6)
    assert (faces == 2).all() and not CUBE.connectivity.boundary_vertices.any()
    opened = Mesh(CORNERS, CUBE.faces[1:])
    assert np.flatnonzero(opened.connectivity.boundary_vertices).tolist() == sorted(CUBE.faces[0].tolist())
    edges, faces = opened.connectivity.edges
    assert sorted(np.unique(edges[faces == 1]).tolist()) == sorted(CUBE.faces[0].tolist())


def test_meshes_of_the_same_faces_share_what_these_tell():
    moved = CUBE.with_vertices(CORNERS * [1, 2, 3])
    assert moved.connectivity is CUBE.connectivity
    alone = Mesh(moved.vertices, moved.faces)
    np.testing.assert_array_equal(moved.vertex_normals(), alone.vertex_normals())
    longer = CUBE.with_vertices(np.vstack([CORNERS, [[5, 5, 5]]]))
    assert len(longer.connectivity.boundary_vertices) == 9


def test_a_vertex_without_faces_has_no_normal():
    lonely = Mesh(np.vstack([CORNERS, [[5, 5, 5]]]), CUBE.faces)
    np.testing.assert_array_equal(lonely.vertex_normals()[-1], 0.0)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".off"])
def test_a_file_gives_back_what_was_written(tmp_path, suffix):
    path = tmp_path / f"cube{suffix}"
    write_mesh(CUBE, path)
    found = read_mesh(path)
    assert found.volume() == pytest.approx(1.0) and len(found.faces) == 12
    if suffix != ".stl":  # triangles without common corners
        np.testing.assert_allclose(found.vertices, CORNERS, atol=1e-7)
        np.testing.assert_array_equal(found.faces, CUBE.faces)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.zeros((4, 2)), [[0, 1, 2]]), r"vertices of a mesh must be of shape \(n, 3\), found \(4, 2\)"),
        ((np.zeros((4, 3)), [[0, 1, 4]]), "a mesh of 4 vertices has faces of vertex 4"),
        ((np.full((4, 3), np.inf), [[0, 1, 2]]), "a mesh has vertices that are not finite"),
        ((np.full((4, 3), "x"), [[0, 1, 2]]), "vertices of a mesh must be numbers, found text"),
        ((np.zeros((4, 3)), [["0", "1", "2"]]), "faces of a mesh must be whole numbers, found text"),
        ((np.zeros((4, 3)), [[0, 1, 2.5]]), "faces of a mesh must be whole numbers, found 2.5"),
        ((np.zeros((4, 3)), [[0, 1, np.nan]]), "faces of a mesh must be whole numbers, found nan"),
        ((np.zeros((4, 3)), [[0, 1, -2]]), "a mesh of 4 vertices has faces of vertex -2"),
    ],
)
def test_arrays_that_are_no_mesh_are_refused(arrays, message):
    with pytest.raises(DataError, match=message):
        Mesh(*arrays)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("body.txt", "", r"body.txt: not a mesh file; possible: .ply, .obj, .stl, .off"),
        ("body.ply", "ply\nnonsense", "body.ply: not a readable mesh"),
        ("body.obj", "v 0 0 0\n", "body.obj: n"),
    ],
)
def test_files_that_are_no_mesh_are_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_mesh(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.ply: no such file"):
        read_mesh(tmp_path / "none.ply")


def test_without_trimesh_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "cube.ply"
    write_mesh(CUBE, path)
    original = builtins.__import__

    def refuse(name, *arguments, **named):
        if name == "trimesh":
            raise ImportError(name)
        return original(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r"mesh files need trimesh: pip install 'kinepose_ocp\[surface\]'"):
        read_mesh(path)
