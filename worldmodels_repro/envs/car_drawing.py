"""Pictures of a CarRacing track without a software rasteriser in the loop.

CarRacing paints a 1000x800 surface each step and scales it to 96x96. Here the track is painted
once an episode into a texture in world coordinates, and a frame is one affine warp of it; the car
is added by `car_sprite`. A bilinear warp blurs by about a texel, so texels a little smaller than
a pixel stand for the area averaging of gymnasium's frames without any supersampling. The textures
have four channels because OpenCV's bilinear warp is twice as fast on four bytes a pixel as on
three; the fourth is not used.

Facts about the picture (camera, colours, order of drawing) are those of gymnasium's
`envs/box2d/car_racing.py`.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from gymnasium.envs.box2d import car_racing as upstream
from numpy.typing import NDArray

SIZE = 64  # side of an observation that `crop_and_resize` makes, pixels
CROP_ROWS = 84  # rows of the 96-row frame above the instrument panel
TEXTURE_MARGIN = 48.0  # world units of grass kept around the track
SHARPNESS = 0.8  # a coarser texture is used once a pixel spans twice this many texels
LEVELS = 6  # textures of texels up to 2**5 wide, for the zoom of the first second
ALIGN = 2 ** (LEVELS - 1)  # texture edges fall on this grid so that every level lines up
SHIFT = 6  # fractional bits of OpenCV's fixed-point polygon corners
# smoothscale truncates twice, which darkens every channel that is not zero by two levels.
DARKENING = 2

ROAD_COLOR = (102, 102, 102)
FIELD_COLOR = (102, 204, 102)
GRASS_COLOR = (102, 230, 102)  # the lighter squares

CAMERA_X = upstream.WINDOW_W / 2
CAMERA_Y = upstream.WINDOW_H * 3 / 4  # from the top; the surface is flipped after it is drawn

Frame = NDArray[np.uint8]
Image = NDArray[Any]


@dataclass(frozen=True)
class View:
    """What a picture shows above the instruments, and in how many pixels.

    Attributes:
        width, height: pixels of gymnasium's top 700 rows, all of its columns.
        texel: world units a texel, a little less than a pixel.
        car_top, car_left: the first row and column that the car can touch; it stays upright there.
        quarter_h, quarter_w: pixels of each quarter of that place, a wheel each.
    """

    width: int
    height: int
    texel: float
    car_top: int
    car_left: int
    quarter_h: int
    quarter_w: int

    @property
    def pixel_w(self) -> float:
        """Surface pixels across a pixel."""
        return upstream.WINDOW_W / self.width

    @property
    def pixel_h(self) -> float:
        """Surface pixels down a pixel."""
        return upstream.WINDOW_H * CROP_ROWS / upstream.STATE_H / self.height

    @property
    def inset(self) -> float:
        """World units to pull an outline in by before it is filled.

        An antialiased OpenCV polygon reaches 0.72 texels outside its outline, and gymnasium's, with
        integer corners, half a surface pixel.
        """
        return 0.72 * self.texel - 0.5 / (upstream.ZOOM * upstream.SCALE)


CROPPED = View(SIZE, SIZE, 0.7, car_top=50, car_left=30, quarter_h=5, quarter_w=2)
WHOLE = View(upstream.STATE_W, CROP_ROWS, 0.53, car_top=65, car_left=45, quarter_h=7, quarter_w=3)


def crop_and_resize(frame: Frame) -> Frame:
    """Reduce a CarRacing frame to the observation of the world model.

    Rows 0 to 83 are kept, which cuts the instrument panel off exactly (it starts at row 84),
    and the rest is averaged over areas.

    Args:
        frame: (96, 96, 3) uint8, gymnasium's `state_pixels` frame.

    Returns:
        (64, 64, 3) uint8.

    Raises:
        ValueError: if `frame` has another shape or type.
    """
    if frame.shape != (upstream.STATE_H, upstream.STATE_W, 3) or frame.dtype != np.uint8:
        raise ValueError(f"frame must be uint8 (96, 96, 3), got {frame.dtype} {frame.shape}")
    out = np.empty((SIZE, SIZE, 3), np.uint8)
    cv2.resize(frame[:CROP_ROWS], (SIZE, SIZE), dst=out, interpolation=cv2.INTER_AREA)
    return out


def zoom_at(t: float) -> float:
    """Surface pixels a world unit, `t` seconds into the episode."""
    scale = upstream.SCALE
    return 0.1 * scale * max(1.0 - t, 0.0) + upstream.ZOOM * scale * min(t, 1.0)


@cache
def shown(red: float, green: float, blue: float) -> tuple[int, int, int, int]:
    """The colour a flat area has after smoothscale, with a zero for the unused channel."""
    r, g, b = (max(int(c) - DARKENING, 0) for c in (red, green, blue))
    return r, g, b, 0


def empty_levels(h: int, w: int, memory: Image) -> tuple[list[Image], Image]:
    """Lay out (h, w, 4) uint8 and its LEVELS - 1 halvings; h and w are multiples of ALIGN.

    Args:
        h, w: texels of the finest level.
        memory: flat uint8 to lay them out in; replaced when too small.

    Returns:
        The levels, views of the memory, and the memory.
    """
    sizes = [4 * (h >> k) * (w >> k) for k in range(LEVELS)]
    if memory.size < sum(sizes):
        memory = np.empty(sum(sizes), np.uint8)
    levels = []
    start = 0
    for k, size in enumerate(sizes):
        levels.append(memory[start : start + size].reshape(h >> k, w >> k, 4))
        start += size
    return levels, memory


def fill_levels(levels: list[Image]) -> None:
    """Compute every level from the one before it."""
    for fine, coarse in itertools.pairwise(levels):
        h, w = coarse.shape[:2]
        cv2.resize(fine, (w, h), dst=coarse, interpolation=cv2.INTER_AREA)


def to_texels(
    corners: NDArray[np.float64], origin: tuple[float, float], texel: float
) -> NDArray[np.int32]:
    """World coordinates (..., 2) as OpenCV's fixed-point ones in a texture from `origin` on."""
    # A texel's centre has whole coordinates in OpenCV, hence the half.
    texels = (corners - np.array(origin)) / texel - 0.5
    return np.rint(texels * (1 << SHIFT)).astype(np.int32)


@cache
def field_levels(view: View) -> tuple[list[Image], float]:
    """The empty field, shared by every environment of the process with that view.

    Returns:
        Textures from fine to coarse, each (n, n, 4) uint8, and the world coordinate (the same
        for x and y) of their first edge.
    """
    step, pulled = view.texel * ALIGN, view.inset
    cells = math.ceil((upstream.PLAYFIELD + 1.0) / step)
    origin = -cells * step
    n = 2 * cells * ALIGN
    levels, _ = empty_levels(n, n, np.empty(0, np.uint8))
    base = levels[0]
    base[:] = 0
    green, light = shown(*FIELD_COLOR), shown(*GRASS_COLOR)

    def square(x: float, y: float, side: float, color: tuple[int, int, int, int]) -> None:
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * (side - 2 * pulled) + (x, y) + pulled
        outline = to_texels(corners, (origin, origin), view.texel)
        cv2.fillConvexPoly(base, outline, color, cv2.LINE_AA, SHIFT)

    square(-upstream.PLAYFIELD, -upstream.PLAYFIELD, 2 * upstream.PLAYFIELD, green)
    dim = upstream.GRASS_DIM
    for x, y in itertools.product(range(-20, 20, 2), repeat=2):
        square(dim * x, dim * y, dim, light)
    fill_levels(levels)
    return levels, origin


class Camera(NamedTuple):
    """What one step's zoom makes of the picture; lengths in texels of its level."""

    level: int  # of the textures
    texel: float  # world units
    right: float  # from the car to the centre of the first pixel
    ahead: float
    across: float  # from a pixel to the next in its row
    down: float  # and in its column


@cache
def cameras(view: View) -> list[Camera]:
    """The cameras of steps 0 to FPS of an episode; the last one stays."""
    found = []
    for step in range(upstream.FPS + 1):
        zoom = zoom_at(step / upstream.FPS)
        texels = view.pixel_h / zoom / view.texel  # of the finest level, along a pixel
        level = max(0, min(LEVELS - 1, int(math.log2(texels / SHARPNESS))))
        texel = view.texel * (1 << level)
        scale = 1.0 / (zoom * texel)
        found.append(
            Camera(
                level,
                texel,
                (0.5 * view.pixel_w - CAMERA_X) * scale,
                (CAMERA_Y - 0.5 * view.pixel_h) * scale,
                view.pixel_w * scale,
                view.pixel_h * scale,
            )
        )
    return found


class TrackTexture:
    """One episode's track on its field, ready to be seen from anywhere.

    The texture covers the track's bounding box and TEXTURE_MARGIN around it; what a camera sees
    beyond that comes from the shared empty field.

    Args:
        view: of its pictures.
        canvas: (height, width, 4) uint8 to draw them on.
    """

    def __init__(self, view: View = CROPPED, canvas: Image | None = None) -> None:
        self._view = view
        self._memory = np.empty(0, np.uint8)  # kept from one episode to the next
        self._levels: list[Image] = []
        self._origin = (0.0, 0.0)
        self._tiles: NDArray[np.int32] = np.empty((0, 4, 2), np.int32)
        self._matrix = np.empty((2, 3), np.float64)
        self.canvas = np.empty((view.height, view.width, 4), np.uint8) if canvas is None else canvas
        self._visited = shown(*ROAD_COLOR)

    def paint(self, road_poly: list[tuple[Any, Any]]) -> None:
        """Paint a new track.

        Args:
            road_poly: gymnasium's list of (four corners, colour), tiles and kerbs in drawing
                order. A tile's corners go left, right along its end and right, left along its
                start; so do a kerb's, from the road outwards.
        """
        flat = itertools.chain.from_iterable
        numbers = flat(flat(poly for poly, _ in road_poly))
        corners = np.fromiter(numbers, np.float64, 8 * len(road_poly)).reshape(-1, 4, 2)
        xs, ys = corners[..., 0], corners[..., 1]
        low = np.array([xs.min(), ys.min()]) - TEXTURE_MARGIN
        high = np.array([xs.max(), ys.max()]) + TEXTURE_MARGIN
        texel, pulled = self._view.texel, self._view.inset
        field, field_origin = field_levels(self._view)
        step = texel * ALIGN
        n = len(field[0])
        first = np.floor((low - field_origin) / step).astype(int) * ALIGN  # (2,) x, y in texels
        last = np.ceil((high - field_origin) / step).astype(int) * ALIGN
        (x0, y0), (x1, y1) = np.clip(first, 0, n), np.clip(last, 0, n)
        self._levels, self._memory = empty_levels(y1 - y0, x1 - x0, self._memory)
        base = self._levels[0]
        base[:] = field[0][y0:y1, x0:x1]
        self._origin = (field_origin + x0 * texel, field_origin + y0 * texel)
        colors = [color if isinstance(color, tuple) else color.tolist() for _, color in road_poly]
        is_tile = np.array([isinstance(color, list) for color in colors])  # (p,)
        points = to_texels(inset(corners, pulled, ~is_tile), self._origin, texel)
        for outline, color in zip(points, colors, strict=True):
            cv2.fillConvexPoly(base, outline, shown(*color), cv2.LINE_AA, SHIFT)
        # What is repainted later leaves the blended edges alone, or they would grow.
        tiles = corners[is_tile]
        self._tiles = to_texels(
            inset(tiles, pulled + texel / 2, np.zeros(len(tiles), bool)), self._origin, texel
        )
        fill_levels(self._levels)

    def visit(self, tile: int) -> None:
        """Repaint a tile in the colour of one that a car has touched."""
        cv2.fillConvexPoly(self._levels[0], self._tiles[tile], self._visited, cv2.LINE_AA, SHIFT)

    def view(self, x: float, y: float, angle: float, t: float) -> Image:
        """Look at the world as the camera of a car does.

        Args:
            x, y: the car's position, world units.
            angle: the car's heading, radians.
            t: seconds since the episode's start; the camera zooms in over the first one.

        Returns:
            The canvas, of which three channels matter; overwritten by the next call.
        """
        step = round(t * upstream.FPS) if t < 1.0 else upstream.FPS
        level, texel, right, ahead, across, down = cameras(self._view)[step]
        cos, sin = math.cos(angle), math.sin(angle)
        m = self._matrix
        m[0, 0] = ax = cos * across
        m[0, 1] = bx = sin * down
        m[1, 0] = ay = sin * across
        m[1, 1] = by = -cos * down
        left_x = cos * right - sin * ahead - 0.5
        left_y = sin * right + cos * ahead - 0.5
        cx = left_x + (x - self._origin[0]) / texel
        cy = left_y + (y - self._origin[1]) / texel
        own = self._levels[level]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (self._view.width, self._view.height)
        right_end, down_end = size[0] - 1.0, size[1] - 1.0
        h, w = own.shape[:2]
        inside = (
            cx + min(0.0, ax * right_end) + min(0.0, bx * down_end) >= 0.0
            and cy + min(0.0, ay * right_end) + min(0.0, by * down_end) >= 0.0
            and cx + max(0.0, ax * right_end) + max(0.0, bx * down_end) <= w - 1.0
            and cy + max(0.0, ay * right_end) + max(0.0, by * down_end) <= h - 1.0
        )
        border = cv2.BORDER_CONSTANT
        if not inside:
            field, origin = field_levels(self._view)
            m[0, 2] = left_x + (x - origin) / texel
            m[1, 2] = left_y + (y - origin) / texel
            cv2.warpAffine(field[level], m, size, self.canvas, flags)
            border = cv2.BORDER_TRANSPARENT
        m[0, 2], m[1, 2] = cx, cy
        cv2.warpAffine(own, m, size, self.canvas, flags, border)
        return self.canvas


def inset(
    corners: NDArray[np.float64], amount: float, kerbs: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Pull outlines in by as much as antialiased filling will push them out again.

    Only the sides move, and the start of a kerb: tiles overlap at their ends, so that no grass
    shows in between, and a kerb's end is drawn over by the next one's start.

    Args:
        corners: (p, 4, 2) world units, as in `TrackTexture.paint`.
        amount: world units.
        kerbs: (p,) true for kerbs.

    Returns:
        (p, 4, 2).
    """
    end_l, end_r, start_r, start_l = (corners[:, i] for i in range(4))  # each (p, 2)

    def toward(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        along = b - a
        length = np.hypot(along[:, 0], along[:, 1])
        # Where two stretches of kerb meet, gymnasium makes some of no width: those stay put.
        return along * (amount / np.where(length > 0, length, np.inf))[:, None]  # (p, 2)

    end, start = toward(end_l, end_r), toward(start_l, start_r)
    ahead_l = toward(start_l, end_l) * kerbs[:, None]
    ahead_r = toward(start_r, end_r) * kerbs[:, None]
    return np.stack(
        [end_l + end, end_r - end, start_r - start + ahead_r, start_l + start + ahead_l], axis=1
    )
