"""The perceptual hash: 256 bits that a picture keeps when it is scaled, recompressed or made greyscale."""

from __future__ import annotations

import cv2
import numpy as np

from upimagine.data.quality.arrays import Grey

BITS = 256
_SIDE_PX, _KEPT = 64, 16


def perceptual_hash(grey: Grey) -> bytes:
    """Which of the 16 x 16 lowest frequencies of the picture, squeezed to 64 px square, lie above their median.

    pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions") with 256 bits: 64 are not
    enough to tell portraits apart that share their layout. For a 64 px picture the bits are those of
    ``imagehash.phash(picture, 16)``, row by row, most significant first. 32 bytes.
    """
    way = cv2.INTER_AREA if min(grey.shape) >= _SIDE_PX else cv2.INTER_LINEAR
    small = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=way)
    waves = np.array(cv2.dct(small)[:_KEPT, :_KEPT])
    waves[0] *= np.sqrt(2)  # undoes the scaling that makes OpenCV's transform orthonormal, for the hash's sake
    waves[:, 0] *= np.sqrt(2)
    return bytes(np.packbits(waves > np.median(waves)).tobytes())
