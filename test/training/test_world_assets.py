"""Both families of assets: every maker, many seeds: sound meshes of a plausible size that stand on the ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from clip2scene_training.world.assets.catalogue import CATALOGUES, SEEN, UNSEEN, Catalogue
from clip2scene_training.world.assets.palette import inset, soiled
from clip2scene_training.world.assets.people import Figure
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh

SEEDS = range(20)
MAKERS = [f.name for f in fields(Catalogue)]
FAMILIES = ("seen", "unseen")
ARGUMENTS = {"flats": (16.0, 12.0), "house": (11.0, 9.0), "hall": (28.0, 20.0), "hedge": (7.0,), "fence": (7.0,),
             "wall": (7.0,)}  # fmt: skip
ROOTED = ("tree", "street_tree", "bush", "hedge")
"""What grows out of the ground reaches below it."""
SIZES = {
    "car": ((2.5, 6.1), (1.45, 2.35), (1.0, 2.8)), "truck": ((4.9, 10.6), (1.8, 3.2), (1.7, 4.4)),
    "bus": ((5.9, 18.5), (2.0, 2.7), (2.3, 4.6)), "trailer": ((3.0, 14.5), (1.7, 2.65), (0.7, 4.2)),
    "construction_vehicle": ((2.5, 12.0), (1.0, 3.8), (2.0, 11.0)), "roller": ((4.0, 5.0), (1.8, 2.3), (2.5, 3.1)),
    "bicycle": ((1.6, 2.5), (0.5, 0.8), (1.0, 2.1)), "motorcycle": ((1.6, 2.6), (0.6, 0.9), (0.9, 1.9)),
    "pedestrian": ((0.25, 1.2), (0.3, 1.3), (0.95, 2.5)), "tree": ((1.0, 9.0), (1.0, 9.0), (3.0, 15.0)),
    "street_tree": ((1.0, 9.0), (1.0, 9.0), (3.0, 15.0)), "bush": ((0.5, 5.0), (0.5, 5.0), (0.5, 3.2)),
    "hedge": ((6.8, 7.8), (0.4, 1.7), (0.7, 3.0)), "flats": ((15.9, 16.5), (12.0, 14.0), (8.0, 42.0)),
    "house": ((7.0, 14.5), (6.0, 10.5), (2.8, 14.0)), "hall": ((27.9, 29.0), (20.0, 24.0), (4.0, 13.5)),
    "lamp_post": ((0.2, 0.8), (0.3, 5.6), (3.2, 10.5)), "utility_pole": ((1.4, 2.5), (0.25, 0.9), (6.9, 11.2)),
    "traffic_light": ((0.15, 0.4), (0.25, 5.0), (2.9, 6.5)), "sign": ((0.05, 0.2), (0.5, 3.2), (2.3, 4.6)),
    "bench": ((1.5, 2.1), (0.3, 0.9), (0.4, 1.1)), "bin_or_box": ((0.1, 3.6), (0.1, 1.7), (0.4, 3.4)),
    "shelter": ((2.5, 5.4), (1.4, 3.1), (2.3, 3.1)), "fence": ((6.9, 7.3), (0.05, 0.4), (0.8, 2.1)),
    "wall": ((6.8, 7.3), (0.2, 0.6), (0.7, 2.6)), "traffic_cone": ((0.15, 0.8), (0.15, 0.8), (0.4, 1.2)),
    "barrier": ((1.3, 3.0), (0.2, 0.95), (0.55, 2.2)), "post": ((0.1, 0.85), (0.1, 0.85), (0.35, 1.2)),
    "pillar": ((0.1, 0.6), (0.1, 0.6), (1.25, 2.05)), "trough": ((0.6, 2.7), (0.25, 1.05), (0.35, 1.1)),
}  # fmt: skip
"""Length, width and height [m], least and most, over both families."""


def _made(family: str, name: str, seed: int, *, rider: bool | None = None) -> Mesh:
    make, rng = getattr(CATALOGUES[family], name), np.random.default_rng([seed, 77])
    if name in ("bicycle", "motorcycle"):
        return make(rng, rider=bool(seed % 2) if rider is None else rider)
    thing = make(rng, *ARGUMENTS.get(name, ()))
    return thing.standing() if isinstance(thing, Figure) else thing


@cache
def _meshes(family: str, name: str) -> tuple[Mesh, ...]:
    return tuple(_made(family, name, seed) for seed in SEEDS)


def _each(family: str) -> Iterator[tuple[str, Mesh]]:
    for name in MAKERS:
        for mesh in _meshes(family, name):
            yield name, mesh


def test_the_table_of_sizes_has_every_maker() -> None:
    assert sorted(SIZES) == sorted(MAKERS)


@pytest.mark.parametrize("family", FAMILIES)
def test_meshes_are_finite_and_their_faces_point_at_their_vertices(family: str) -> None:
    for name, mesh in _each(family):
        assert np.isfinite(mesh.vertices).all(), name
        assert mesh.vertices.dtype == np.float32, name
        assert mesh.color.dtype == np.float32, name
        assert mesh.faces.min() >= 0, name
        assert mesh.faces.max() < len(mesh.vertices), name
        assert len(mesh.faces) == len(mesh.material) == len(mesh.color), name
        assert ((mesh.color >= 0) & (mesh.color <= 1)).all(), name
        assert set(np.unique(mesh.material)) <= {int(m) for m in Material}, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", MAKERS)
def test_things_stand_on_the_ground(family: str, name: str) -> None:
    lowest = [float(mesh.bounds[0, 2]) for mesh in _meshes(family, name)]
    assert min(lowest) >= (-0.6 if name in ROOTED else -0.05)
    assert max(lowest) <= 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", MAKERS)
def test_sizes_are_those_of_the_class(family: str, name: str) -> None:
    sizes = np.array([mesh.bounds[1] - mesh.bounds[0] for mesh in _meshes(family, name)])
    for axis, (least, most) in enumerate(SIZES[name]):
        assert sizes[:, axis].min() >= least, (name, axis)
        assert sizes[:, axis].max() <= most, (name, axis)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_makes_the_same_thing_and_another_seed_another(family: str) -> None:
    for name in MAKERS:
        first, again = _meshes(family, name)[3], _made(family, name, 3)
        assert np.array_equal(first.vertices, again.vertices), name
        assert np.array_equal(first.color, again.color), name
        looks = {m.vertices.tobytes() + m.color.tobytes() for m in _meshes(family, name)}
        assert len(looks) >= len(SEEDS) - 1, name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rider_only_adds_to_a_cycle(family: str) -> None:
    for name in ("bicycle", "motorcycle"):
        alone, ridden = (_made(family, name, 5, rider=rider) for rider in (False, True))
        assert ridden.bounds[1, 2] > alone.bounds[1, 2] + 0.2
        assert int((ridden.material == Material.SKIN).sum()) > 0
        assert not (alone.material == Material.SKIN).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_people_have_two_legs_that_hang_from_the_hip(family: str) -> None:
    for seed in SEEDS:
        figure = CATALOGUES[family].pedestrian(np.random.default_rng(seed))
        assert len(figure.limbs) == 2
        low = min(float(limb.bounds[0, 2]) for limb in figure.limbs)
        assert abs(low) < 0.02
        assert 0.35 * figure.standing().bounds[1, 2] < figure.hip_m < 0.6 * figure.standing().bounds[1, 2]


@pytest.mark.parametrize("family", FAMILIES)
def test_meshes_are_cheap(family: str) -> None:
    for name in MAKERS:
        assert np.mean([len(m.faces) for m in _meshes(family, name)]) < 1300, name


def test_the_families_share_no_maker() -> None:
    for name in MAKERS:
        seen, unseen = getattr(SEEN, name), getattr(UNSEEN, name)
        assert seen.__module__ != unseen.__module__, name
        assert "unseen" in unseen.__module__, name
        assert "unseen" not in seen.__module__, name


def _shape(mesh: Mesh) -> bytes:
    """Return a mesh's triangles without its place and size, so that a stretched copy is found out."""
    low, high = mesh.bounds
    return np.round((mesh.vertices[mesh.faces] - low) / (high - low) * 50).astype(np.int16).tobytes()


def test_the_families_share_no_shape() -> None:
    seen, unseen = ({_shape(m) for _, m in _each(family)} for family in FAMILIES)
    assert not seen & unseen


@pytest.mark.parametrize("family", FAMILIES)
def test_colours_of_different_classes_overlap(family: str) -> None:
    """The mean colours of cars, buildings, bins and barriers differ more within each than between them."""
    names = ("car", "truck", "flats", "bin_or_box", "barrier")
    means = {n: np.array([m.color.mean(axis=0) for m in _meshes(family, n)]) for n in names}
    within = np.mean([means[n].std(axis=0).mean() for n in names])
    between = np.array([means[n].mean(axis=0) for n in names]).std(axis=0).mean()
    assert within > between


def test_some_cones_and_signs_shine_and_some_do_not() -> None:
    for family in FAMILIES:
        for name in ("traffic_cone", "sign"):
            shining = [bool((m.material == Material.RETRO).any()) for m in _meshes(family, name)]
            assert 0 < sum(shining) < len(shining), (family, name)


def test_dirt_lies_low() -> None:
    b = Builder()
    for z in (0.05, 3.0):
        b.box((1, 1, 0.1), (0, 0, z), Material.PAINT, (0.9, 0.9, 0.9))
    clean = b.mesh()
    dirty = soiled(clean, np.random.default_rng(1), chance=1.0)
    change = np.abs(dirty.color - clean.color).sum(axis=1)
    assert change[:12].min() > change[12:].max()
    assert np.array_equal(dirty.vertices, clean.vertices)
    assert soiled(clean, np.random.default_rng(1), chance=0.0) is clean


def test_a_pane_lies_within_its_wall_and_off_it() -> None:
    wall = np.array([(0, 0, 0), (0, 2.0, 0), (0, 2.0, 1.0), (0, 0, 1.0)])
    pane = inset(wall, (0.25, 0.75), (0.2, 0.8), lift=0.1)
    assert np.allclose(pane[:, 0], 0.1)
    assert np.allclose(pane[:, 1], [0.5, 1.5, 1.5, 0.5])
    assert np.allclose(pane[:, 2], [0.2, 0.2, 0.8, 0.8])
