"""Compiled loops over the runs of a frame: moments, contacts and intensities of its cells.

`runs` is (start, length, cell), each (R,) int64 and ascending by `start`, with cells 0..n - 1; `layout` is (depth,
height, width) of the frame in pixels, depth 1 in 2D. All columns with three axes are along z, y, x.
"""

from __future__ import annotations

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.masks.fragments import index_rows

__all__ = ["FLOAT32_MAX", "measure_contacts", "measure_intensities", "measure_moments"]

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""Pixels beyond this value count as not finite."""


@compile_function
def measure_moments(runs, n, layout):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Return pixels (n,), centroid (n, 3), central second moments (n, 6) and box (n, 6) of each cell, in pixels.

    The centroid comes from exact integer sums, and the moments are summed about it, so that a cell far
    from the origin is measured as well as one near it. Over a run of n pixels with its middle at m,
    sum (x - c)^2 = n ((m - c)^2 + (n^2 - 1) / 12).
    """
    start, length, cell = runs
    depth, height, width = layout
    pixels = np.zeros(n, np.int64)
    sums = np.zeros((n, 3), np.int64)
    box = np.empty((n, 6), np.int64)
    box[:, 0], box[:, 1], box[:, 2] = depth, height, width
    box[:, 3:] = 0
    for i in range(start.size):
        row, x = start[i] // width, start[i] % width
        z, y = row // height, row % height
        c, k = cell[i], length[i]
        pixels[c] += k
        sums[c, 0] += k * z
        sums[c, 1] += k * y
        sums[c, 2] += k * x + k * (k - 1) // 2
        box[c, 0], box[c, 3] = min(box[c, 0], z), max(box[c, 3], z + 1)
        box[c, 1], box[c, 4] = min(box[c, 1], y), max(box[c, 4], y + 1)
        box[c, 2], box[c, 5] = min(box[c, 2], x), max(box[c, 5], x + k)
    centre = np.empty((n, 3))
    for c in range(n):
        centre[c, 0], centre[c, 1], centre[c, 2] = (
            sums[c, 0] / pixels[c],
            sums[c, 1] / pixels[c],
            sums[c, 2] / pixels[c],
        )
    moments = np.zeros((n, 6))
    for i in range(start.size):
        row, x = start[i] // width, start[i] % width
        c, k = cell[i], float(length[i])
        dz, dy = row // height - centre[c, 0], row % height - centre[c, 1]
        dx = x + 0.5 * (k - 1) - centre[c, 2]
        moments[c, 0] += k * dz * dz
        moments[c, 1] += k * dy * dy
        moments[c, 2] += k * (dx * dx + (k * k - 1) / 12)
        moments[c, 3] += k * dz * dy
        moments[c, 4] += k * dz * dx
        moments[c, 5] += k * dy * dx
    for c in range(n):
        for k in range(6):  # an operation on the row would take seconds to compile
            moments[c, k] /= pixels[c]
    return pixels, centre, moments, box


@compile_function
def _add_faces(runs, own, others, shift, face, outer, contact):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Add the faces between the runs of one image row and those of a neighbouring row.

    `outer` loses the faces inside a cell, `contact` gains those between two cells.
    """
    start, length, cell = runs
    base, end = others
    for i in range(own[0], own[1]):
        low = start[i] - shift
        high = low + length[i]
        while base < end and start[base] + length[base] <= low:
            base += 1
        j = base
        while j < end and start[j] < high:
            common = (min(high, start[j] + length[j]) - max(low, start[j])) * face
            if cell[i] == cell[j]:
                outer[cell[i]] -= 2 * common
            else:
                contact[cell[i]] += common
                contact[cell[j]] += common
            j += 1


@compile_function
def measure_contacts(runs, n, layout, face):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Return the fraction of each cell's faces that touch other cells, shape (n,)."""
    start, length, cell = runs
    depth, height, width = layout
    first = index_rows(start, width, depth * height)
    outer, contact = np.zeros(n), np.zeros(n)
    for row in range(depth * height):
        own = (first[row], first[row + 1])
        for i in range(own[0], own[1]):
            outer[cell[i]] += 2 * (face[2] + length[i] * (face[0] + face[1]))
            if i + 1 < own[1] and start[i + 1] == start[i] + length[i]:
                contact[cell[i]] += face[2]
                contact[cell[i + 1]] += face[2]
        if row % height:
            _add_faces(runs, own, (first[row - 1], first[row]), width, face[1], outer, contact)
        if row >= height:
            below = (first[row - height], first[row - height + 1])
            _add_faces(runs, own, below, width * height, face[0], outer, contact)
    for c in range(n):
        contact[c] = min(contact[c] / outer[c], 1.0)
    return contact


@compile_function
def measure_intensities(flat, runs, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Return intensities (n, 4) and the number of pixels that are not finite.

    The columns are mean, standard deviation, minimum and maximum of the finite pixels of each cell, 0 if it has none.
    """
    start, length, cell = runs
    values, count, skipped = np.zeros((n, 4)), np.zeros(n, np.int64), 0
    values[:, 2], values[:, 3] = np.inf, -np.inf
    for i in range(start.size):
        c = cell[i]
        for p in range(start[i], start[i] + length[i]):
            value = float(flat[p])
            if not abs(value) <= FLOAT32_MAX:
                skipped += 1
                continue
            count[c] += 1
            values[c, 0] += value
            values[c, 2] = min(values[c, 2], value)
            values[c, 3] = max(values[c, 3], value)
    for c in range(n):
        if count[c]:
            values[c, 0] /= count[c]
        else:
            values[c] = 0
    for i in range(start.size):
        c = cell[i]
        for p in range(start[i], start[i] + length[i]):
            value = float(flat[p])
            if abs(value) <= FLOAT32_MAX:
                values[c, 1] += (value - values[c, 0]) ** 2
    for c in range(n):
        values[c, 1] = np.sqrt(values[c, 1] / max(count[c], 1))
    return values, skipped
