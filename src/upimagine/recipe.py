"""What a picture is made of: an ordered list of stages, as TOML for people and as JSON inside every output."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from upimagine.errors import UpimagineError


class _Stage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(_Stage):
    """Make candidates from noise."""

    kind: Literal["sample"] = "sample"
    model: str
    count: int = Field(default=600, ge=1, le=1_000_000)


class ColourFields(_Stage):
    """Draw candidates by program: tiny pictures, a few colours side by side; see `make.colour_fields`."""

    kind: Literal["colour-fields"] = "colour-fields"
    count: int = Field(default=200, ge=1, le=1_000_000)
    size_px: int = Field(default=32, ge=8, le=512)
    colours: int = Field(default=6, ge=2, le=64)
    roughness: float = Field(default=0.45, ge=0, le=1)  # 0: large smooth areas; 1: ragged and small ones
    softness: float = Field(default=0.2, ge=0, le=10)  # of the transitions between colours


class Pictures(_Stage):
    """Begin with pictures of one's own: every one in a folder is a candidate."""

    kind: Literal["pictures"] = "pictures"
    folder: str


class Choose(_Stage):
    """Keep the best candidates that also differ from each other."""

    kind: Literal["choose"] = "choose"
    keep: int = Field(default=4, ge=1)
    best_share: float = Field(default=0.2, gt=0, le=1)  # only this share, by score, is looked at for diversity
    realism: float = Field(default=1.0, ge=0)  # weight of the critic's score
    sharpness: float = Field(default=0.3, ge=0)  # weight of the variance of the Laplacian
    face: float = Field(default=1.0, ge=0)  # weight of the finder's certainty; pictures without a face are never kept
    symmetry: float = Field(default=0.3, ge=0)  # weight of how alike both halves of the face are
    grid: float = Field(default=0.0, ge=0)  # weight of how free the picture is of a repeating grid
    blotches: float = Field(default=0.0, ge=0)  # weight of how free it is of blotches of foreign colour
    between: tuple[str, ...] = ()  # folders, one a person: faces that have something of all of them come first
    mixture: float = Field(default=1.0, ge=0)  # … with this weight

    @model_validator(mode="after")
    def _by_something(self) -> Self:
        if not any((self.realism, self.sharpness, self.face, self.symmetry, self.grid, self.blotches)):
            raise ValueError("all weights are 0; give at least one score a weight to choose by")
        return self


_Factor = Annotated[float, Field(gt=0, le=4)]


class Enlarge(_Stage):
    """Up-imagine in overlapping tiles."""

    kind: Literal["enlarge"] = "enlarge"
    model: str
    plane_px: int | None = Field(default=None, ge=8)  # the short side is first brought to this; None: as it comes
    short_px: int | None = Field(default=None, ge=8)  # the result is resampled to this short side; None: as it comes
    keep_detail: bool = False  # hold the result to all detail of a picture larger than the plane, not to the plane
    finder: Literal["mediapipe", "dlib"] = "mediapipe"  # of the face that guides
    guide: str | None = None  # raster file that guides a model which learned with such
    best_only: bool = False  # only the best picture goes on from here
    stride_px: int = Field(default=24, ge=1)  # between tiles, in pixels of the plane
    blend: Literal["feather", "cut", "multiband"] = "cut"  # how tiles become one picture
    feather_px: int = Field(default=32, ge=0)  # width of the transition between tiles, in output pixels
    flips: bool = True  # each tile is also tried mirrored
    contrasts: tuple[_Factor, ...] = (1.0,)  # … and with these contrasts
    saturations: tuple[_Factor, ...] = (1.0,)  # … and saturations
    noise_seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = ()  # … and with grain of these seeds
    noise: float = Field(default=0.03, ge=0, le=1)  # deviation of that grain, pixels being in [-1, 1]
    best_of: int | None = Field(default=None, ge=1, le=256)  # so many candidates in all, in place of the five above
    also: tuple[str, ...] = ()  # models that compete with `model` for every tile
    wrap: bool = False  # the picture repeats: a texture without edges
    shift_px: int = Field(default=0, ge=0)  # how much further the grid lies than it would, in pixels of the plane
    border_px: int = Field(default=4, ge=0)  # mirrored beyond the picture's edges, and cut off from the result
    passes: int = Field(default=1, ge=1, le=16)  # enlarge again and again, each pass from the last, on a shifted grid
    growth: float = Field(default=2.0, ge=1, le=16)  # … each pass so much larger than the last
    realism: float = Field(default=1.0, ge=0)  # weights of a candidate's scores
    sharpness: float = Field(default=0.5, ge=0)
    contrast: float = Field(default=0.0, ge=0)
    agreement: float = Field(
        default=50.0, ge=0
    )  # how much neighbouring tiles must agree: cost of a mean squared difference of 1
    veto_db: float = Field(
        default=3.0, ge=0
    )  # a candidate this much less faithful than the best of its tile never wins
    floor_db: float | None = None  # one less faithful than this never wins, unless none is better
    tone_match: int = Field(default=3, ge=0)  # rounds of bringing the result's low-res plane back to the input's
    batch: int = Field(default=32, ge=1)  # tiles a network call


class Sharpen(_Stage):
    """Output sharpening, last of all: an unsharp mask on luma."""

    amount: float = Field(default=1.0, gt=0, le=10)
    radius_px: float | None = Field(default=None, gt=0, le=100)  # None: dpi / 200
    threshold: float = Field(default=0.008, ge=0, le=2)  # differences below are grain and stay
    halo: float | None = Field(default=0.1, ge=0)  # how far beyond its surroundings a pixel may go; None: any


class Print(_Stage):
    """How a picture is written."""

    kind: Literal["print"] = "print"
    bit_depth: Literal[8, 16] | None = None  # None: as many as the format holds
    dpi: float | None = Field(default=300, ge=1, le=100_000)
    bleed_mm: float = Field(default=0, ge=0, le=1000)  # mirrored picture beyond the cut, on every side
    sharpen: Sharpen | None = None
    space: Literal["srgb", "adobe-rgb", "display-p3"] = "srgb"
    dither: bool = False  # fine noise instead of bands, where 8 bits are written
    compression: Literal["deflate", "lzw", "none"] = "deflate"  # of TIFF
    tiled: bool = False  # TIFF in tiles instead of strips
    quality: int | None = Field(default=None, ge=1, le=100)  # of JPEG and WebP


Begin = Sample | ColourFields | Pictures
"""What a walk may begin with."""

Stage = Annotated[Begin | Choose | Enlarge | Print, Field(discriminator="kind")]


class Recipe(_Stage):
    """The whole walk."""

    name: str
    results: str = Field(default="portrait", pattern=r"^[a-z0-9][a-z0-9-]*$")  # the files are called RESULTS-1.png, …
    seed: int = Field(default=0, ge=0)
    stage: tuple[Stage, ...]


class Origin(_Stage):
    """Where a picture began: in a generator's latent vector, in a file, or drawn by program."""

    model: str | None = None
    model_sha256: str | None = None
    latent: tuple[float, ...] | None = None
    truncation: float | None = Field(default=None, ge=0, le=1)  # how far the generator's features were pulled in
    picture: str | None = None
    picture_sha256: str | None = None
    drawn: ColourFields | None = None
    drawn_number: tuple[int, int] | None = None  # seed and number of what was drawn


class Done(_Stage):
    """An enlargement as it was carried out."""

    stage: Enlarge
    model_sha256: str
    also_sha256: tuple[str, ...] = ()
    guided: bool  # whether there was something to guide by
    guide_sha256: str | None = None  # of the stage's raster file
    plane_px: tuple[int, int]  # height, width of the low-res plane
    size_px: tuple[int, int]  # height, width that were kept
    tiles: tuple[int, int]  # rows, columns
    steady: bool = True  # False where memory ran out on the way, so that not all tiles ran in equal batches
    winners: tuple[tuple[int, ...], ...]  # which variant won each tile


class Resolved(_Stage):
    """Everything needed to make the same pixels again, as embedded in every output.

    Models that are not built in, and pictures, are named as seen from the folder of the output.
    """

    upimagine: str
    torch: str
    device: str = Field(pattern=r"^[a-z]+(:\d+)?$")
    dtype: Literal["float32", "bfloat16"]
    threads: int = Field(ge=1, le=4096)
    output: Print
    alpha: bool = False  # transparency of the picture it began with was enlarged beside the colours
    origin: Origin
    enlarge: tuple[Done, ...]


def read_recipe(path: Path) -> Recipe:
    """Read a TOML recipe. Raises UpimagineError naming the file, the place and the mend."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UpimagineError(f"{path} cannot be read as a recipe ({error})") from error
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UpimagineError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise UpimagineError(f"{path}: {_first_problem(error)}") from error


def write_recipe(recipe: Recipe) -> str:
    """The recipe as TOML, every default written out."""
    return tomli_w.dumps(_without_none(recipe.model_dump(mode="json")))


def parse_resolved(text: str, where: str) -> Resolved:
    """The embedded form back from a picture's metadata. Raises UpimagineError when it is not ours."""
    try:
        return Resolved.model_validate_json(text)
    except ValidationError as error:
        raise UpimagineError(f"{where} holds no recipe that this version can read: {_first_problem(error)}") from error


def _without_none(value: Any) -> Any:
    """TOML has no null: a missing key means the default."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        names = [
            name
            for kind in (Sample, ColourFields, Pictures, Choose, Enlarge, Print, Recipe)
            for name in kind.model_fields
        ]
        near = difflib.get_close_matches(str(problem["loc"][-1]), names, n=1)
        return f"{place} is not known" + (f"; did you mean {near[0]}?" if near else "")
    return f"{place}: {problem['msg']}"
