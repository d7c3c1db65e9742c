"""What V sees of any game: the one size of a frame."""

SIDE = 64
FRAME = (SIDE, SIDE, 3)
"""Height, width and colours, uint8."""
