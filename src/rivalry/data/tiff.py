"""TIFF files that Pillow opens and reads amiss (TIFF 6.0; tags by number)."""

from __future__ import annotations

import numpy as np
from PIL import Image, TiffImagePlugin

BITS, WHITE, PLANES, SIGN = 258, (262, 0), (284, 2), 339
OTHER_BIG = b"MM\x00+"


def check(picture: Image.Image) -> None:
    """ValueError, with the remedy, for numbers that would come out as others."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return
    tags = picture.tag_v2
    bits = tags.get(BITS, (1,))
    if picture.mode == "I" and max(bits) > 16:
        raise ValueError("32-bit pixels, whose range nobody knows; save it with 16 bits")
    if 2 in tags.get(SIGN, (1,)):
        raise ValueError("numbers with a sign, whose range nobody knows; save it with 16 bits and no sign")
    if tags.get(PLANES[0]) == PLANES[1] and max(bits) > 8 and len(bits) > 1:
        raise ValueError("16-bit pixels stored colour after colour; save it with the colours of a pixel together (planar configuration 1)")


def upright(picture: Image.Image, told: Image.Image) -> Image.Image:
    """`picture`, turned as its camera held it, with 0 as black; told: the same with its tags.  Pillow does so by itself at 8 bits."""
    if not isinstance(told, TiffImagePlugin.TiffImageFile) or picture.mode[:4] != "I;16" or told.tag_v2.get(WHITE[0]) != WHITE[1]:
        return picture
    return Image.fromarray(65535 - np.asarray(picture))
