"""The edge guide: lines of a picture as one channel, for networks that shall keep to its drawing."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from upimagine.guide.face import rgb8
from upimagine.pixels.resizing import resize_antialiased

_THRESHOLD = 200.0  # of Sobel's gradient of luma 0 to 255, as in `data.makers`: a step of one level counts 4


class EdgeGuide:
    """A :class:`upimagine.roles.Guide` of one channel: 1 where a line runs, -1 where none does, between at its border.

    Lines (Canny 1986) are looked for at four thirds of the raster, whatever the picture's size: the size at which
    training pairs are guided, so that a photograph is drawn as coarsely as those were.
    """

    channels = 1

    def draw(self, picture: Tensor, size_px: tuple[int, int]) -> Tensor | None:
        """(1, 3, H, W) in [-1, 1] to (1, 1, height, width) in [-1, 1]; never None."""
        seen_px = (round(size_px[0] * 4 / 3), round(size_px[1] * 4 / 3))
        seen = rgb8(resize_antialiased(picture, seen_px))
        lines = cv2.Canny(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), _THRESHOLD / 2, _THRESHOLD, L2gradient=True)
        drawn = torch.from_numpy(lines).float()[None, None] / 127.5 - 1
        return resize_antialiased(drawn, size_px).to(picture.device)
