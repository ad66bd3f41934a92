"""The 68-point scheme of iBUG 300-W (Sagonas et al. 2013): its parts, its mirror and where it lies on the mesh.

"Right" is the subject's right, which stands at the left of the picture.
"""

from __future__ import annotations

import numpy as np

from upimagine.guide.face import Points

JAW = tuple(range(17))
"""Along the face oval from the subject's right ear over the chin (8) to the left ear."""
BROWS = (tuple(range(17, 22)), tuple(range(22, 27)))
NOSE_BRIDGE = tuple(range(27, 31))
NOSE_BASE = tuple(range(31, 36))
EYES = (tuple(range(36, 42)), tuple(range(42, 48)))
LIPS_OUTER = tuple(range(48, 60))
LIPS_INNER = tuple(range(60, 68))
CHIN = 8

MIRROR = (
    tuple(range(16, -1, -1))
    + tuple(range(26, 16, -1))
    + NOSE_BRIDGE
    + tuple(range(35, 30, -1))
    + (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40)
    + (54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55)
    + (64, 63, 62, 61, 60, 67, 66, 65)
)
"""``MIRROR[i]`` is the point of the other side that point i becomes in a mirrored picture."""

# Vertices of MediaPipe's 468-point mesh; of two vertices the middle is meant. The jaw is spread evenly over the face
# oval, and brows follow the middle between the mesh's upper and lower brow lines.
_MESH_VERTICES: tuple[tuple[int, ...], ...] = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150, 149), (176, 148), (152,)),
    *((377, 400), (378, 379), (365,), (397, 288), (288, 361), (323,), (454,), (356,)),
    *((70, 46), (63, 53), (105, 52), (66, 65), (107, 55)),
    *((336, 285), (296, 295), (334, 282), (293, 283), (300, 276)),
    *((168, 6), (197,), (5,), (4,)),
    *((75,), (97,), (2,), (326,), (305,)),
    *((33,), (160,), (158,), (133,), (153,), (144,)),
    *((362,), (385,), (387,), (263,), (373,), (380,)),
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (405,), (314,), (17,), (84,), (181,)),
    *((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,)),
)
_FIRST_AND_LAST = np.array([(vertices[0], vertices[-1]) for vertices in _MESH_VERTICES])


def from_mesh(mesh: Points) -> Points:
    """MediaPipe's (468, 2) mesh to (68, 2)."""
    pairs: Points = mesh[_FIRST_AND_LAST]
    middles: Points = pairs.mean(axis=1, dtype=np.float32)
    return middles


def mirror(points68: Points, width_px: float) -> Points:
    """The (68, 2) points as they lie, and are numbered, in the picture mirrored left to right."""
    mirrored = points68[list(MIRROR)]
    mirrored[:, 1] = width_px - mirrored[:, 1]
    return mirrored


def scale(points68: Points, from_px: tuple[int, int], to_px: tuple[int, int]) -> Points:
    """Move (y, x) points from a picture of (height, width) to the same picture at another size."""
    return points68 * np.array([to_px[0] / from_px[0], to_px[1] / from_px[1]], np.float32)
