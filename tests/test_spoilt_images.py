"""Images that are spoilt, in one frame, in one place or all along: tracking is as good as without images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gnntrack import track

SIZE, FRAMES, CELLS = 128, 8, 9


def draw(step, *, radius=7.0, seed=0):
    """Return masks whose labels are the identities, and images of cells that differ in brightness."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.linspace(24, SIZE - 24, 3)] * 2), -1).reshape(-1, 2) + rng.uniform(-4, 4, (9, 2))
    y, x = np.indices((SIZE, SIZE))
    masks = np.zeros((FRAMES, SIZE, SIZE), np.uint16)
    for t in range(FRAMES):
        for i, p in enumerate(place, 1):
            masks[t][(y - p[0]) ** 2 + (x - p[1]) ** 2 <= radius**2] = i
        place = np.clip(place + rng.normal(0, step, place.shape), 9, SIZE - 9)
    light = rng.uniform(0.7, 1.3, CELLS + 1)
    images = 100 + 900 * (masks > 0) * light[masks] + rng.normal(0, 20, masks.shape)
    return masks, images.clip(0)


def count_broken(masks, images=None, **options):
    lineage = track(images, masks, **options)
    cells = lineage.cells
    tracks = {(t, label): i for t, label, i in np.stack([cells.frame, cells.label, lineage.track], axis=1).tolist()}
    steps = [(t, i) for t, i in tracks if (t + 1, i) in tracks]
    return sum(tracks[t, i] != tracks[t + 1, i] for t, i in steps), lineage


def noise(image, seed=0):
    return np.random.default_rng(seed).normal(100, 20, image.shape).clip(0)


def spoil(frames, how: Callable) -> Callable:
    """Return a function that spoils some frames of images."""

    def apply(images):
        images = images.copy()
        images[frames] = [how(image) for image in images[frames]]
        return images

    return apply


SPOILT = {
    "noise in one frame": spoil([4], noise),
    "noise in the first frame": spoil([0], noise),
    "noise in the last frame": spoil([-1], noise),
    "noise in every second frame": spoil([1, 3, 5, 7], noise),
    "noise in all frames": lambda images: np.stack([noise(image, t) for t, image in enumerate(images)]),
    "black": spoil([3, 4], np.zeros_like),
    "saturated": spoil([4], lambda image: np.full_like(image, 65535)),
    "blurred": spoil([2, 5], lambda image: gaussian_filter(image, 9)),
    "stage jump": spoil([3], lambda image: np.roll(image, (17, -23), (0, 1))),
    "inverted": spoil([4], lambda image: image.max() - image),
    "not a number": spoil([4], lambda image: np.full_like(image, np.nan)),
    "half black": spoil(slice(None), lambda image: np.where(np.arange(SIZE) < SIZE // 2, 0, image)),
    "duplicated": lambda images: images[[0, 1, 2, 2, 4, 5, 5, 7]],
    "one frame late": lambda images: np.roll(images, 1, axis=0),
    "of another movie": lambda _: draw(2.0, seed=99)[1],
    "flickering": lambda images: images * (1 + 0.8 * (np.arange(FRAMES) % 2))[:, None, None],
    "bleached": lambda images: images * 0.6 ** np.arange(FRAMES)[:, None, None],
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_images_break_no_links(name):
    for seed, step in ((0, 1.0), (1, 2.5)):
        masks, images = draw(step, seed=seed)
        usual = count_broken(masks)[0]
        found, lineage = count_broken(masks, SPOILT[name](images))
        assert found <= usual
        assert 0 <= lineage.provenance.flow_by_images <= 1


def test_good_images_are_used_and_useless_ones_are_not():
    masks, images = draw(2.0)
    assert count_broken(masks, images)[1].provenance.flow_by_images > 0.9
    for name in ("noise in all frames", "of another movie"):
        assert count_broken(masks, SPOILT[name](images))[1].provenance.flow_by_images < 0.2
    assert count_broken(masks)[1].provenance.flow_by_images is None


def test_only_the_spoilt_frame_is_predicted_from_cells():
    masks, images = draw(2.0)
    fraction = count_broken(masks, SPOILT["noise in one frame"](images))[1].provenance.flow_by_images
    assert 0.5 < fraction < 0.85  # two of seven pairs of frames


@pytest.mark.parametrize("radius", [1.5, 2.5])
@pytest.mark.parametrize("step", [1.0, 6.0])
def test_objects_of_a_few_pixels_and_fast_ones_are_linked_as_without_images(radius, step):
    movies = [draw(step, radius=radius, seed=seed) for seed in range(3)]
    assert sum(count_broken(*movie)[0] for movie in movies) <= sum(count_broken(masks)[0] for masks, _ in movies)


def test_a_spoilt_frame_of_a_volume_breaks_no_links():
    masks, images = draw(1.5)
    volume, light = (np.stack([0 * each, each, each], axis=1)[..., ::2, ::2] for each in (masks, images))
    light[4] = noise(light[4])
    assert count_broken(volume, light)[0] == count_broken(volume)[0] == 0
