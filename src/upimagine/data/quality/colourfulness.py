"""How colourful a picture is: greyscale ones are not."""

from __future__ import annotations

import numpy as np

from upimagine.data.quality.arrays import Rgb8


def colourfulness(rgb: Rgb8) -> float:
    """Measure M of Hasler and Süsstrunk 2003 ("Measuring colourfulness in natural images", SPIE 5007).

    0 for greyscale, about 15 for slightly colourful pictures, 100 and more for extremely colourful ones; in levels of
    255. Toned greyscale (sepia) lies between.
    """
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))
