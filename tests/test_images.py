"""Single images of a file."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gnntrack.errors import FrameError
from gnntrack.io.images import read_image


def test_a_png_above_the_limit_of_pillow_is_refused_with_a_remedy(tmp_path, monkeypatch):
    file = tmp_path / "large.png"
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # a warning of Pillow, which is not shown
    assert read_image(file).pixels.shape == (20, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(FrameError, match=r"larger than Pillow reads .*save it as a TIFF"):
        read_image(file)
