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


_MEAN = np.array(
    [
        # jaw
        *((0.199, 0.000), (0.307, 0.010), (0.418, 0.020), (0.596, 0.056), (0.706, 0.096)),
        *((0.828, 0.172), (0.910, 0.266), (0.978, 0.383), (1.000, 0.500), (0.978, 0.617)),
        *((0.910, 0.734), (0.828, 0.828), (0.706, 0.904), (0.596, 0.944), (0.418, 0.980)),
        *((0.307, 0.990), (0.199, 1.000)),
        # brows
        *((0.062, 0.093), (0.020, 0.135), (0.000, 0.199), (0.005, 0.285), (0.032, 0.394)),
        *((0.032, 0.606), (0.005, 0.715), (0.000, 0.801), (0.020, 0.865), (0.062, 0.907)),
        # nose
        *((0.183, 0.500), (0.276, 0.500), (0.384, 0.500), (0.452, 0.500), (0.520, 0.410)),
        *((0.548, 0.448), (0.549, 0.500), (0.548, 0.552), (0.520, 0.590)),
        # eyes
        *((0.188, 0.166), (0.165, 0.218), (0.162, 0.295), (0.202, 0.370), (0.220, 0.303)),
        *((0.219, 0.226), (0.202, 0.630), (0.162, 0.705), (0.165, 0.782), (0.188, 0.834)),
        *((0.219, 0.774), (0.220, 0.697)),
        # outer lip
        *((0.703, 0.322), (0.662, 0.394), (0.648, 0.448), (0.655, 0.500), (0.648, 0.552)),
        *((0.662, 0.606), (0.703, 0.678), (0.763, 0.599), (0.780, 0.552), (0.784, 0.500)),
        *((0.780, 0.448), (0.763, 0.401)),
        # inner lip
        *((0.698, 0.346), (0.701, 0.460), (0.703, 0.500), (0.701, 0.540), (0.698, 0.654)),
        *((0.710, 0.543), (0.712, 0.500), (0.710, 0.457)),
    ],
    np.float32,
)


def mean_face(box: tuple[float, float, float, float]) -> Points:
    """(68, 2) points of the mean face, looking straight ahead, filling the box (y0, x0, y1, x1).

    The mean over the 303 neutral, nearly frontal faces (and their mirrors) of a set of 1,029 rendered portraits of
    imaginary people, found by MediaPipe; each face is stretched to its own box first.
    """
    corner, far = np.array(box[:2], np.float32), np.array(box[2:], np.float32)
    return corner + _MEAN * (far - corner)
