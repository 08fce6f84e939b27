"""Labelled images of several kinds of microscopy, and five folds of them for cross-validation.

The images are those of ``shared/more`` (or ``--more``): ``SEG-DSB2018`` (BBBC038, fluorescent and stained nuclei) and
``SEG-Usiigaci`` (phase contrast), each a folder with ``img``, ``lab`` and ``index.csv``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from record import REPOSITORY

from gnntrack.io.images import read_mask, read_tiff

FOLDS = 5
SHIPPED_FOLD = 0
"""Images of this fold were kept out of the training of the shipped models."""
_FOLDERS = {"fluorescence": "SEG-DSB2018", "stained": "SEG-DSB2018", "phase": "SEG-Usiigaci"}
_NOTES = {"fluorescence": "fluorescence", "stained": "stained-colour", "phase": "train"}


@dataclass(frozen=True)
class KindImage:
    """An image with the labels of all cells.

    Parameters
    ----------
    name, movie : str
        Name of the image, and of the group that it belongs to.
    kind : str
        Kind of microscopy.
    image_file, label_file : Path
        The files.
    channel : int, optional
        Which channel of an RGB image; by default the red one, in which stained nuclei are darkest.
    plane : int, optional
        Which plane of a stack; by default all.
    """

    name: str
    movie: str
    kind: str
    image_file: Path
    label_file: Path
    channel: int = 0
    plane: int | None = None
    simulated = False

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the grey image and its labels, 1, 2, ... without gaps."""
        image = self.read_colours()
        labels = np.asarray(read_mask(self.label_file)).astype(np.int32)
        if image.ndim == 3 and image.shape[-1] == 3:
            image = image[..., self.channel]
        if self.plane is not None:
            image, labels = image[self.plane], labels[self.plane]
        known, numbered = np.unique(labels, return_inverse=True)
        return image, (numbered.reshape(labels.shape) + (known[0] != 0)).astype(np.int32)

    def read_colours(self) -> np.ndarray:
        """Return the image as it is in the file."""
        import tifffile

        return np.asarray(tifffile.imread(self.image_file))


def get_default_more() -> Path:
    """Return the folder of further images: GNNTRACK_MORE, else ../shared/more beside the repository."""
    return Path(os.environ.get("GNNTRACK_MORE") or REPOSITORY.parent / "shared" / "more")


def list_images(more: Path, kind: str, groups: int = 1) -> list[KindImage]:
    """Return all images of a kind, in groups; a group is as likely in training as a whole movie."""
    folder = more / _FOLDERS[kind]
    table = pd.read_csv(folder / "index.csv")
    table = table[table["note"] == _NOTES[kind]] if "note" in table else table
    return [
        KindImage(
            f"{folder.name} {number}",
            f"{folder.name} {kind} {row % groups}",
            kind,
            folder / "img" / f"{number:04d}.tif",
            folder / "lab" / f"{number:04d}.tif",
        )
        for row, number in enumerate(table["n"])
    ]


def split_fold(images: list[KindImage], fold: int | None) -> tuple[list[KindImage], list[KindImage]]:
    """Return the images to train on, and every fifth one, from `fold` on, which is tested; none if it is None."""
    tested = images[fold::FOLDS] if fold is not None else []
    return [image for image in images if image not in tested], tested


def list_planes(data: Path) -> list[KindImage]:
    """Return planes of real stacks of fluorescent nuclei; the masks of CHO were made by another segmenter."""
    found = []
    cho = data / "Fluo-N3DH-CHO"
    for frame in range(0, 20, 4):
        files = cho / "02" / f"t{frame:03d}.tif", cho / "02_ERR_SEG" / f"mask{frame:03d}.tif"
        found += [
            KindImage(f"{cho.name}/02 {frame} {plane}", f"{cho.name}/02 planes", "fluorescence", *files, plane=plane)
            for plane in (1, 2, 3)
        ]
    embryo = data / "BBBC050-mouse-embryo-3D"
    for labels in sorted((embryo / "01_GT" / "SEG").glob("man_seg*.tif"))[::3]:
        number = labels.stem.removeprefix("man_seg")
        files = embryo / "01" / f"t{number}.tif", labels
        depth = len(read_tiff(labels))
        found += [
            KindImage(
                f"{embryo.name}/01 {number} {plane}", f"{embryo.name} planes", "fluorescence", *files, plane=plane
            )
            for plane in (depth // 3, depth // 2, 2 * depth // 3)
        ]
    return found
