"""DiffusionNet: clouds, operators, the network's symmetries, cells from votes, and a training from end to end."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("robust_laplacian")

from scipy import ndimage, sparse  # noqa: E402
from scipy.spatial import ConvexHull  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402
from support.movies import compute_ious  # noqa: E402

from gnntrack.errors import FrameError, ModelError, SegmenterError, TrainingError  # noqa: E402
from gnntrack.settings import SimulateSettings, TrainSegmenterSettings  # noqa: E402
from gnntrack.simulate import simulate_movie  # noqa: E402
from gnntrack.training.run import TrainingRun  # noqa: E402
from segmenters.diffusion.blocks import cut_blocks, extract_part  # noqa: E402
from segmenters.diffusion.cells import find_cells, predict_points  # noqa: E402
from segmenters.diffusion.features import FEATURES, VECTORS  # noqa: E402
from segmenters.diffusion.grouping import draw_voxels, group_points  # noqa: E402
from segmenters.diffusion.network import Diffusion, DiffusionNet, Gradients, describe_shape  # noqa: E402
from segmenters.diffusion.operators import (  # noqa: E402
    build_cloud_operators,
    build_operators,
    build_surface_operators,
    build_volume_operators,
    compute_eigenbasis,
)
from segmenters.diffusion.points import build_volume_cloud, measure_levels, stack_to_points  # noqa: E402
from segmenters.diffusion.surface import build_surface_cloud, stack_to_surface  # noqa: E402
from segmenters.diffusion.task import BlockOptions, BlockTask, make_targets  # noqa: E402
from segmenters.diffusionnet import DiffusionNetSegmenter  # noqa: E402

CUBES = (1.0, 1.0, 1.0)
BALLS = [((12, 14, 14), 8), ((12, 14, 29), 8), ((12, 34, 20), 8)]  # the first two touch


def balls(shape=(24, 48, 44), cells=BALLS, *, spacing=CUBES, noise=3.0, seed=0):
    """Bright balls (centre and radius in the unit of the spacing) on a dark ground, and who is where."""
    grid = np.indices(shape) * np.reshape(spacing, (3, 1, 1, 1))
    labels = np.zeros(shape, np.int32)
    for label, (centre, radius) in enumerate(cells, start=1):
        labels[((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(0) <= radius**2] = label
    image = ndimage.gaussian_filter(np.where(labels > 0, 100.0, 10.0), [0.7 / s for s in spacing])
    return (image + np.random.default_rng(seed).normal(0, noise, shape)).astype(np.float32), labels


def sphere(n=1200):
    """Points spread evenly over the unit sphere, and triangles that all run the same way."""
    turn = np.pi * (1 + 5**0.5) * (np.arange(n) + 0.5)
    z = 1 - 2 * (np.arange(n) + 0.5) / n
    points = np.stack([z, np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn)], axis=1)
    faces = ConvexHull(points).simplices.astype(np.int64)
    inwards = np.linalg.det(points[faces]) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    return points, faces


def judge(pairs):
    """Figures of a validation, simple ones."""
    each = np.concatenate([compute_ious(labels, truth) for labels, truth in pairs])
    return {"dice": each.mean(), "seg": each.mean(), "f1": (each > 0.5).mean()}


class Example:
    name, movie = "balls", "balls"

    def __init__(self, image, labels):
        self.pair = image, labels

    def read(self):
        return self.pair


@pytest.fixture(scope="module")
def volume():
    image, labels = balls()
    levels = measure_levels(image, spacing=CUBES)
    return image, labels, levels, build_volume_cloud(image, levels, spacing=CUBES)


@pytest.fixture(scope="module")
def surface():
    image, labels = balls()
    levels = measure_levels(image, spacing=CUBES)
    return image, labels, levels, build_surface_cloud(image, levels, spacing=CUBES)


def network(**options):
    torch.manual_seed(1)
    return DiffusionNet(features=FEATURES, vectors=VECTORS, **{"width": 16, "blocks": 2, **options}).eval()


# ------------------------------------------------------------------------------------------- clouds


def test_points_are_those_that_the_loops_of_the_report_find():
    stack, spacing = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32), (2.0, 0.5, 0.25)
    points, values = [], []
    for z in range(3):
        for y in range(5):
            for x in range(4):
                if stack[z, y, x] > 0.3:
                    points.append([z * 2.0, y * 0.5, x * 0.25])
                    values.append(stack[z, y, x])
    found, grey, voxels = stack_to_points(stack, threshold=0.3, spacing=spacing)
    assert np.array_equal(found, points)
    assert np.array_equal(grey, values)
    assert np.array_equal(stack[tuple(voxels.T)], grey)


def test_a_cloud_is_the_same_whether_its_stack_is_looked_at_whole_or_in_tiles(volume):
    image, _, levels, whole = volume
    tiled = build_volume_cloud(image, levels, spacing=CUBES, tile=5000)
    for name in ("points", "mass", "features", "vectors", "box"):
        assert np.allclose(getattr(tiled, name), getattr(whole, name), rtol=0, atol=1e-5), name
    order, other = np.lexsort(whole.voxels.T), np.lexsort(tiled.voxels.T)
    assert np.array_equal(whole.owner[order], tiled.owner[other])


def test_a_point_is_the_mean_of_its_voxels_and_stands_for_their_volume(volume):
    _, _, levels, cloud = volume
    for row in (0, len(cloud) // 2):
        own = cloud.voxels[cloud.owner == row]
        assert np.allclose(cloud.points[row], own.mean(0) / levels.diameter)
        assert np.isclose(cloud.mass[row], len(own) / levels.diameter**3)


def test_planes_that_lie_farther_apart_give_a_cloud_of_the_same_size():
    fine, _ = balls()
    coarse, _ = balls((6, 48, 44), spacing=(4.0, 1.0, 1.0))
    extents, masses = [], []
    for image, spacing in ((fine, CUBES), (coarse, (4.0, 1.0, 1.0))):
        levels = measure_levels(image, spacing=spacing, threshold=50, diameter=16)
        cloud = build_volume_cloud(image, levels, spacing=spacing)
        extents.append(np.ptp(cloud.points, axis=0))
        masses.append(cloud.mass.sum())
        assert sparse.csgraph.connected_components(operators_laplacian(cloud))[0] == 2  # the ball apart, and the pair
    assert np.allclose(extents[0], extents[1], atol=0.4)
    assert masses[0] == pytest.approx(masses[1], rel=0.15)


def operators_laplacian(cloud):
    """Who is whose neighbour, as the eigenvectors with eigenvalue 0 tell."""
    operators = build_operators(cloud, modes=12)
    zero = operators.eigenvectors[:, operators.eigenvalues < 1e-9] != 0
    return sparse.csr_array((zero @ zero.T).astype(int))


def test_the_size_of_cells_is_measured_in_units_of_the_spacing():
    image, _ = balls()
    assert measure_levels(image, spacing=CUBES).diameter == pytest.approx(16, rel=0.2)
    assert measure_levels(image, spacing=(0.5, 0.5, 0.5)).diameter == pytest.approx(8, rel=0.2)


def test_what_a_ring_of_cells_encloses_does_not_count_as_one():
    turns = np.arange(9) * 2 * np.pi / 9
    ring = [((8, 30 + 21 * np.sin(turn), 30 + 21 * np.cos(turn)), 8) for turn in turns]
    image, _ = balls((16, 60, 60), ring)
    assert measure_levels(image, spacing=CUBES).diameter == pytest.approx(16, rel=0.3)


def test_features_stay_and_vectors_turn_with_the_stack():
    image, _ = balls()
    turned = np.ascontiguousarray(np.rot90(image, axes=(1, 2)))
    levels = measure_levels(image, spacing=CUBES)
    # boxes of two voxels' edge, that begin beside a voxel's middle; the axis that is mirrored has whole boxes
    first, second = (
        build_volume_cloud(each, levels._replace(diameter=12.0), spacing=CUBES, origin=(0.25, 0.25, 0.25))
        for each in (image, turned)
    )
    step = 1 / 12
    back = np.stack(
        [second.points[:, 0], second.points[:, 2], (image.shape[2] - 1) * step - second.points[:, 1]], axis=1
    )
    order, other = (np.lexsort(np.round(p / step, 3).T) for p in (first.points, back))
    assert np.allclose(first.points[order], back[other])
    assert np.allclose(first.features[order], second.features[other], atol=1e-4)
    back = np.stack([second.vectors[..., 0], second.vectors[..., 2], -second.vectors[..., 1]], axis=-1)
    assert np.allclose(first.vectors[order], back[other], atol=1e-4)


def test_a_surface_is_closed_has_the_balls_area_and_looks_outwards():
    image, _ = balls(cells=[((12, 24, 22), 9)], noise=0.0)
    points, faces = stack_to_surface(image, threshold=55, spacing=CUBES, edge=1.5)
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = np.unique(np.sort(sides), axis=0, return_counts=True)[1]
    assert (count == 2).all()
    operators = build_surface_operators(points, faces, modes=4)
    assert operators.mass.sum() == pytest.approx(4 * np.pi * 81, rel=0.05)
    outwards = points - [12, 24, 22]
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    assert (outwards * operators.normals).sum(1).min() > 0.8


def test_a_surface_is_closed_where_the_stack_ends():
    points, faces = stack_to_surface(np.ones((6, 6, 6), np.float32), threshold=0.5, spacing=CUBES, edge=1.0)
    assert len(points) - len(np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)), axis=0)) + len(faces) == 2


# ---------------------------------------------------------------------------------------- operators

DEGREES = np.repeat([0, 1, 2, 3], [1, 3, 5, 7])


@pytest.mark.parametrize("known", ["triangles", "points"])
def test_the_eigenvalues_of_a_sphere_are_those_of_the_spherical_harmonics(known):
    points, faces = sphere()
    operators = (
        build_surface_operators(points, faces, modes=16)
        if known == "triangles"
        else build_cloud_operators(points, modes=16)
    )
    assert np.allclose(operators.eigenvalues, DEGREES * (DEGREES + 1), rtol=0.02, atol=1e-8)
    assert operators.mass.sum() == pytest.approx(4 * np.pi, rel=0.02)


def test_the_eigenvalues_of_a_box_are_those_of_its_standing_waves():
    box = np.argwhere(np.ones((8, 16, 24)))
    step = 1 / 24
    operators = build_volume_operators(box * step, np.full(len(box), step**3), box, np.full(3, step), modes=12)
    waves = np.indices((4, 4, 4)).reshape(3, -1).T / np.array([1 / 3, 2 / 3, 1])
    expected = np.sort((np.pi * waves) ** 2 @ np.ones(3))[:12]
    assert np.allclose(operators.eigenvalues, expected, rtol=0.03, atol=1e-8)


@pytest.mark.parametrize("parts", [1, 5, 30])
def test_a_cloud_in_parts_has_a_constant_for_each(parts):
    rod = np.argwhere(np.ones((3, 3, 9)))
    box = np.concatenate([rod + np.array([5 * k, 0, 0]) for k in range(parts)])
    operators = build_volume_operators(box * 0.1, np.full(len(box), 1e-3), box, np.full(3, 0.1), modes=20)
    assert (operators.eigenvalues < 1e-9).sum() == parts
    assert operators.eigenvectors.shape == (len(box), max(20, parts))
    product = operators.eigenvectors.T @ (operators.mass[:, None] * operators.eigenvectors)
    assert np.allclose(product, np.eye(len(product)), atol=1e-6)


def test_a_large_part_has_the_basis_that_a_dense_solver_finds():
    n = 500  # a ring
    ring = sparse.diags_array([2.0, -1, -1, -1, -1], offsets=[0, 1, -1, n - 1, 1 - n], shape=(n, n)).tocsr()
    values, vectors = compute_eigenbasis(ring, np.full(n, 2.0), modes=11)
    assert np.allclose(values, np.linalg.eigvalsh(ring.toarray() / 2)[:11], atol=1e-7)
    again = compute_eigenbasis(ring, np.full(n, 2.0), modes=11)
    assert np.array_equal(again[1], vectors)


@pytest.mark.parametrize("where", ["sphere", "points of a sphere", "box", "one plane"])
def test_slopes_of_a_linear_function(where):
    slope = np.array([0.5, -1.0, 2.0])
    if "sphere" in where:
        points, faces = sphere()
        operators = (
            build_surface_operators(points, faces, modes=4)
            if where == "sphere"
            else build_cloud_operators(points, modes=4)
        )
        expected, tolerance = slope - points * (points @ slope)[:, None], 0.15
    else:
        box = np.argwhere(np.ones((1 if where == "one plane" else 5, 6, 7)))
        points = box * 0.2
        operators = build_volume_operators(points, np.full(len(box), 0.008), box, np.full(3, 0.2), modes=4)
        expected, tolerance = np.tile(slope * (np.ptp(points, axis=0) > 0), (len(points), 1)), 1e-9
    found = np.stack([gradient @ (points @ slope) for gradient in operators.gradients], axis=1)
    assert np.abs(found - expected).max() < tolerance


# ------------------------------------------------------------------------------------------ network


@pytest.mark.parametrize("cloud", ["volume", "surface"])
def test_diffusion_keeps_the_mean_and_smooths(cloud, request):
    shape = describe_shape(cloud := request.getfixturevalue(cloud)[-1], build_operators(cloud))
    layer = Diffusion(3)
    with torch.no_grad():
        layer.log_time[:] = torch.log(torch.tensor([1e-3, 1e-2, 1e-1]))
        values = torch.randn(len(shape.mass), 3, generator=torch.manual_seed(0))
        diffused = shape.eigenvectors @ layer(values, shape)
    mass = shape.mass[:, None]
    assert torch.allclose((mass * diffused).sum(0), (mass * values).sum(0), rtol=1e-3, atol=1e-4)
    spread = (mass * diffused**2).sum(0)
    assert (torch.diff(spread) < 0).all()


@pytest.mark.parametrize("kind", ["volume", "surface"])
def test_turning_a_cloud_turns_the_offsets_and_nothing_else(kind, request):
    cloud = request.getfixturevalue(kind)[-1]
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    still = describe_shape(cloud, build_operators(cloud))
    gradients = np.einsum("ab,bnk->ank", turn, still.slopes.numpy())
    turned_cloud = replace(cloud, points=cloud.points @ turn.T, vectors=(cloud.vectors @ turn.T).astype(np.float32))
    operators = build_operators(turned_cloud if kind == "surface" else cloud)
    turned = describe_shape(turned_cloud, operators)
    if kind == "volume":  # its boxes cannot turn, all else does
        turned = turned._replace(slopes=torch.from_numpy(gradients.astype(np.float32)))
    with torch.no_grad():
        first, second = (network()(shape) for shape in (still, turned))
    assert torch.allclose(first.foreground, second.foreground, atol=2e-3)
    matrix = torch.from_numpy(turn.astype(np.float32))
    assert torch.allclose(first.offset @ matrix.T, second.offset, atol=2e-3)
    assert first.offset.abs().max() > 0.05


def test_gradients_tell_which_way_round_on_a_surface_and_not_in_a_volume():
    layer = Gradients(2)
    slopes = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])  # along y and along x
    mirrored = slopes * torch.tensor([1.0, 1.0, -1.0])[:, None, None]
    up, none = torch.tensor([[1.0, 0.0, 0.0]]), torch.zeros(1, 3)
    assert torch.allclose(layer(slopes, none), layer(mirrored, none))
    assert not torch.allclose(layer(slopes, up), layer(mirrored, up), atol=1e-3)


def test_blocks_share_no_core_and_see_their_surroundings(surface):
    cloud = surface[-1]
    blocks = cut_blocks(cloud.points, core=60)
    assert len(blocks) > 4
    assert np.array_equal(np.sort(np.concatenate([b.rows[b.core] for b in blocks])), np.arange(len(cloud)))
    for block in blocks:
        part, same = extract_part(cloud, block)
        assert np.array_equal(part.points, cloud.points[same.rows])
        assert same.core.sum() == block.core.sum() < len(same.rows)
        # no vertex of the core has lost a triangle
        count, whole = np.bincount(part.faces.ravel(), minlength=len(part)), np.bincount(cloud.faces.ravel())
        assert np.array_equal(count[same.core], whole[same.rows][same.core])


# ------------------------------------------------------------------------------------------ grouping


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_points_that_vote_for_one_centre_are_one_cell(noise):
    random = np.random.default_rng(0)
    centres = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.3], [0.5, 2.5, 0.5]])
    cell = np.repeat([0, 1, 2], [300, 200, 250])
    points = centres[cell] + random.uniform(-0.5, 0.5, (len(cell), 3))
    labels = group_points(points, centres[cell] - points + random.normal(0, noise, points.shape), np.ones(len(cell)))
    assert labels.max() == 3
    agree = [np.bincount(labels[cell == k]).max() / (cell == k).sum() for k in range(3)]
    assert min(agree) > (0.97 if noise else 0.999)
    assert len({int(np.bincount(labels[cell == k]).argmax()) for k in range(3)}) == 3


def test_heaps_that_run_into_each_other_are_one_cell_or_two_as_the_neck_says():
    random = np.random.default_rng(0)
    votes = np.repeat([[0.0, 0, 0], [0.0, 0, 0.55]], 400, axis=0) + random.normal(0, 0.1, (800, 3))
    found = [group_points(votes, np.zeros_like(votes), np.ones(800), neck=neck).max() for neck in (0.05, 0.7)]
    assert found == [1, 2]


def test_small_heaps_are_no_cells_and_no_points_no_problem():
    votes = np.repeat([[0.0, 0, 0], [3.0, 0, 0]], [200, 4], axis=0)
    labels = group_points(votes, np.zeros_like(votes), np.ones(204), min_size=0.1)
    assert labels.tolist() == [1] * 200 + [0] * 4
    assert group_points(votes, np.zeros_like(votes), np.ones(204), min_size=0.0).max() == 2
    assert len(group_points(votes[:0], votes[:0], np.ones(0))) == 0


@pytest.mark.parametrize("kind", ["volume", "surface"])
def test_right_answers_give_the_right_cells(kind, request):
    image, labels, levels, cloud = request.getfixturevalue(kind)
    scale = np.full(3, 1 / levels.diameter)
    targets = make_targets(cloud, labels, scale=scale)
    inside = targets.foreground > 0.5
    found = np.zeros(len(cloud), np.int32)
    found[inside] = group_points(cloud.points[inside], targets.offset[inside], np.ones(inside.sum()))
    painted = draw_voxels(cloud, found, targets.foreground, shape=image.shape, scale=scale)
    assert painted.max() == 3
    assert compute_ious(painted, labels).min() > 0.85


# ----------------------------------------------------------------------------------- from end to end

TINY = {"steps": 60, "batch": 4, "learning_rate": 0.01, "validate_every": 30, "average": 0.9,
        "options": {"width": 16, "blocks": 2, "modes": 32}}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a small network that has learnt three balls, and the rows of its log."""
    folder, rows = tmp_path_factory.mktemp("model"), []
    example = Example(*balls())
    DiffusionNetSegmenter.train(
        [example],
        [example],
        TrainingRun(folder, device="cpu", report=rows.append),
        settings=TrainSegmenterSettings(**TINY),
        metrics=judge,
    )
    return folder, rows


def test_training_learns(trained):
    _, rows = trained
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["validation_score"] > 0.8


@pytest.mark.parametrize("seed", [0, 7])
def test_what_was_learnt_finds_the_cells_of_stacks(trained, seed):
    image, labels = balls(seed=seed)
    segmenter = DiffusionNetSegmenter(model=trained[0], device="cpu")
    found = segmenter.segment(image)
    assert found.dtype == np.int32
    assert found.max() == 3
    assert compute_ious(found, labels).min() > 0.75
    assert np.array_equal(segmenter.segment(image * 4 + 300), found)


def test_the_ratios_of_the_spacing_count_and_its_unit_does_not(trained):
    image, _ = balls((12, 48, 44), spacing=(2.0, 1.0, 1.0))
    first, second, cubes = (
        DiffusionNetSegmenter(model=trained[0], device="cpu", spacing=spacing).segment(image)
        for spacing in ((2.0, 1.0, 1.0), (0.5, 0.25, 0.25), None)
    )
    assert first.max() >= 3
    assert np.array_equal(first, second)
    assert not np.array_equal(first, cubes)


def test_a_cloud_in_many_blocks_gets_about_the_answers_of_one(trained, volume, monkeypatch):
    cloud = volume[-1]
    net = DiffusionNetSegmenter(model=trained[0], device="cpu").network
    whole = predict_points(net, cloud)
    monkeypatch.setattr("segmenters.diffusion.cells.cut_blocks", lambda points: cut_blocks(points, core=300))
    parts = predict_points(net, cloud)
    assert np.abs(whole[0] - parts[0]).mean() < 0.03
    assert np.linalg.norm(whole[1] - parts[1], axis=1).mean() < 0.1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 20, 20)), np.full((3, 20, 20), 7, np.uint8), np.zeros((0, 5, 5)), np.ones((1, 1, 1)),
        np.pad(np.ones((1, 1, 1)), 3), np.eye(2)[None], np.random.default_rng(0).normal(size=(1, 30, 30)),
        np.random.default_rng(0).integers(0, 2, (2, 3, 90)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cloud", ["volume", "surface"])
def test_stacks_without_anything_to_see_are_no_problem(trained, image, cloud):
    labels = DiffusionNetSegmenter(model=trained[0], device="cpu", cloud=cloud).segment(image)
    assert labels.shape == image.shape
    if not image.size or image.min() == image.max():
        assert not labels.any()


def test_a_task_depends_on_the_random_numbers_alone():
    def losses(first):
        blocks = BlockOptions(count=1, modes=16)
        task = BlockTask([Example(*balls())], lambda _: {}, spacing=lambda _: CUBES, blocks=blocks)
        net = network()
        return [task.compute_loss(net, np.random.default_rng(seed))[0].item() for seed in range(first, 3)]

    assert losses(0)[2:] == losses(2)
    assert len(set(losses(0))) > 1


def test_images_that_nothing_can_be_learnt_from_are_refused(tmp_path):
    run = TrainingRun(tmp_path, device="cpu")
    kept = {"metrics": judge, "settings": TrainSegmenterSettings(**TINY)}
    with pytest.raises(TrainingError, match="anything bright"):
        DiffusionNetSegmenter.train([Example(np.zeros((3, 9, 9)), np.zeros((3, 9, 9), int))], [], run, **kept)
    with pytest.raises(TrainingError, match=r"learns on stacks \(Z, Y, X\)"):
        DiffusionNetSegmenter.train([Example(np.zeros((9, 9)), np.zeros((9, 9), int))], [], run, **kept)


@pytest.mark.parametrize(
    ("options", "problem"), [({"widht": 3}, "no option 'widht'"), ({"width": 0.5}, "width is 0.5"),
                             ({"surfaces": 2}, "surfaces is 2"), ({"depth": 0}, "depth is 0")],
)  # fmt: skip
def test_options_of_a_new_network_are_checked(tmp_path, options, problem):
    settings = TrainSegmenterSettings(options=options)
    with pytest.raises(SegmenterError, match=problem):
        DiffusionNetSegmenter.train(
            [Example(*balls())], [], TrainingRun(tmp_path, device="cpu"), settings=settings, metrics=judge
        )


@pytest.mark.parametrize(
    "options", [{"spacing": (1, 1)}, {"spacing": (1, 0, 1)}, {"cloud": "mesh"}, {"diameter": 0}, {"threshold": 2},
                {"neck": -1}, {"min_size": 1.5}],
)  # fmt: skip
def test_options_out_of_range_are_refused(trained, options):
    with pytest.raises(SegmenterError, match=f"option {next(iter(options))} is"):
        DiffusionNetSegmenter(model=trained[0], **options)


def test_what_is_no_number_is_refused(trained):
    image, _ = balls()
    image[0, 0, 0] = np.nan
    with pytest.raises(FrameError, match="1 pixel is NaN"):
        DiffusionNetSegmenter(model=trained[0], device="cpu").segment(image)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_the_type_of_the_numbers_does_not_count(trained, dtype):
    image = np.round(np.clip(balls()[0], 0, 255))
    segmenter = DiffusionNetSegmenter(model=trained[0], device="cpu")
    found = segmenter.segment(image.astype(dtype))
    assert found.dtype == np.int32
    assert np.unique(found).tolist() == list(range(found.max() + 1))
    assert np.array_equal(found, segmenter.segment(image.astype(np.float32)))


def test_a_plane_is_refused(trained):
    with pytest.raises(FrameError, match="choose another segmenter"):
        DiffusionNetSegmenter(model=trained[0], device="cpu").segment(np.zeros((9, 9)))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError):
        DiffusionNetSegmenter(model=tmp_path)


def test_where_the_library_is_missing_its_name_is_told(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("segmenters.diffusion")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "robust_laplacian", None)
    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module("segmenters.diffusionnet")
    assert error.value.name == "robust_laplacian"


@pytest.mark.parametrize("seed", [3, 4])
def test_the_model_that_comes_with_gnntrack_tells_touching_cells_apart(seed):
    settings = SimulateSettings(
        shape=(14, 64, 64), spacing=(1.2, 0.8, 0.8), frames=1, cells=14, diameter=13, clustering=1
    )
    movie = simulate_movie(settings=settings, seed=seed)
    truth = movie.masks[0]
    found = DiffusionNetSegmenter(device="cpu", spacing=(1.2, 0.8, 0.8)).segment(movie.images[0])
    hits = (compute_ious(found, truth) > 0.5).sum()
    assert 2 * hits / (found.max() + truth.max()) > 0.85


def test_the_network_that_is_asked_is_left_as_it_is(volume):
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    find_cells(net, volume[0], spacing=CUBES)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
