"""Change a picture by a network that `rivalry export` wrote: numpy, Pillow and onnxruntime are all it takes.

    python onnx_apply.py sharper.onnx photo.jpg sharp.png
    python onnx_apply.py filler.onnx photo.png whole.png --mask holes.png
    python onnx_apply.py quiet.onnx head.npy quieter.npy

Large pictures go through in tiles; where those overlap they are blended.  The colour profile is kept, and the picture is
written upright with 8 bits a channel; grey ones of 16 bits keep them in .png and .tif.

Of networks that learned from scans: an array [slices, height, width] (or one slice) in the units of the file (CT: Hounsfield units), cut
along the axis that the network was trained along, is shown by the window it was trained with, and comes back in units.
"""

import argparse
import json
from itertools import pairwise

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SEAM = 8
DEEP = 65535
LUMA = np.array([0.299, 0.587, 0.114], np.float32).reshape(3, 1, 1)


class Network:
    """A network and what its file says of it."""

    def __init__(self, path, threads, seed):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.told = json.loads(self.session.get_modelmeta().custom_metadata_map.get("rivalry", "{}"))
        if self.told.get("kind") != "changes pictures":
            raise SystemExit(f"{path} is no network that changes pictures; onnx_sample.py is for those that make them")
        self.noise = np.random.default_rng(seed).standard_normal((1, self.told["latent"])).astype(np.float32)

    def __call__(self, picture, mask):
        """picture [c, h, w] in [-1, 1], mask [1, h, w] of 0 and 1 -> [C, scale h, scale w]."""
        given = {"picture": picture, "mask": mask, "noise": self.noise[0]}
        names = [i.name for i in self.session.get_inputs()]
        return self.session.run(None, {n: np.ascontiguousarray(given[n][None]) for n in names})[0][0]


def tiles(length, side, around, multiple):
    """(first, last) of each core, (start, stop) of what the network is given of it."""
    pieces = max(1, -(-length // side))
    core = -(-max(2 * SEAM, -(-length // pieces)) // multiple) * multiple
    borders = [*range(0, max(1, length - 2 * SEAM + 1), core), length]
    for first, last in pairwise(borders):
        yield first, last, max(0, first - around) // multiple * multiple, min(length, -(-(last + around) // multiple) * multiple)


def weights(first, last, length, scale):
    """1 in the core, falling to 0 over the seams; neighbours add up to 1."""
    left, right = SEAM * (first > 0), SEAM * (last < length)
    out = np.ones((last + right - first + left) * scale, np.float32)
    rise = (np.arange(2 * SEAM * scale, dtype=np.float32) + 0.5) / (2 * SEAM * scale)
    if left:
        out[: len(rise)] = rise
    if right:
        out[-len(rise) :] = rise[::-1]
    return (first - left) * scale, out


def change(network, picture, mask, side):
    """picture [c, h, w] in [-1, 1] -> [C, scale h, scale w], tile by tile."""
    told, (height, width) = network.told, picture.shape[1:]
    if told["whole_picture"]:  # tiles would not agree: it normalises over all that it sees
        return network(picture, mask)
    scale, around, multiple = told["scale"], told["context"] + SEAM, told["multiple"]
    out = np.zeros((told["outputs"], height * scale, width * scale), np.float32)
    for y0, y1, top, bottom in tiles(height, side, around, multiple):
        row, down = weights(y0, y1, height, scale)
        for x0, x1, left, right in tiles(width, side, around, multiple):
            column, across = weights(x0, x1, width, scale)
            made = network(picture[:, top:bottom, left:right], mask[:, top:bottom, left:right])
            y, x = row - top * scale, column - left * scale
            part = made[:, y : y + len(down), x : x + len(across)]
            out[:, row : row + len(down), column : column + len(across)] += part * np.outer(down, across)
    return out


def read(path):
    """(the picture upright, its planes [c, h, w] in [0, 1])."""
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            picture.info["icc_profile"] = file.info.get("icc_profile")
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow makes of files that are missing, damaged or no pictures
        raise SystemExit(f"{path} cannot be read: {error}") from error
    if picture.mode[0] in "IF":  # grey values that are not bytes; converting would clip them
        values = np.asarray(picture, np.float32)
        if picture.mode == "F" or values.min() < 0 or values.max() > DEEP:
            raise SystemExit(f"{path} holds numbers that are none of 8 or 16 bits; save it with 16 bits")
        return picture, values[None] / DEEP
    alpha = "A" in picture.getbands() or "transparency" in picture.info
    grey = picture.mode in ("1", "L", "LA")
    planes = np.asarray(picture.convert(("LA" if grey else "RGBA") if alpha else ("L" if grey else "RGB")), np.float32) / 255
    return picture, (planes[None] if planes.ndim == 2 else planes.transpose(2, 0, 1))


def enlarged(planes, scale):
    """[c, h, w] -> [c, scale h, scale w], bicubically."""
    if scale == 1:
        return planes
    size = planes.shape[2] * scale, planes.shape[1] * scale
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in planes])


def scan(network, source, out, side):
    """A volume or a slice in an .npy file: into the window, through the network slice by slice, and back into units."""
    told, given = network.told["scans"], np.load(source)
    if given.ndim not in (2, 3) or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise SystemExit(f"{source} is no volume [slices, height, width] of finite numbers")
    volume = given.reshape(-1, *given.shape[-2:]).astype(np.float64)
    if told["window"] == "fixed":
        low, high = told["low"], told["high"]
    else:  # of each volume its own
        low, high = np.percentile(volume, told["percentiles"])
    if not high > low:
        raise SystemExit(f"{source} is of one value; there is nothing to change in it")
    shown = ((volume - low) / (high - low)).clip(0, 1) * 2 - 1
    nowhere = np.zeros((1, *volume.shape[1:]), np.float32)
    made = np.concatenate([change(network, slice_[None].astype(np.float32), nowhere, side) for slice_ in shown])
    shares = (made.clip(-1, 1) + 1) / 2
    np.save(out, (shares if told["result"] == "shares" else low + shares * (high - low)).astype(np.float32).reshape(given.shape))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what `rivalry export` wrote")
    parser.add_argument("picture", help="or .npy, for networks that learned from scans")
    parser.add_argument("out", help="by its ending: .png, .jpg, .webp ... (.npy)")
    parser.add_argument("--mask", help="for networks that fill holes: a picture of the same size, white in the holes")
    parser.add_argument("--tile", type=int, default=512, help="side of a tile in pixels (512)")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--seed", type=int, default=0, help="of the noise, for networks that take some")
    given = parser.parse_args()

    network = Network(given.model, given.threads, given.seed)
    told = network.told
    if given.picture.lower().endswith(".npy"):
        if "scans" not in told or told["mask"] or (told["inputs"], told["outputs"], told["scale"]) != (1, 1, 1):
            raise SystemExit(f"{given.model} did not learn from scans to change scans, so it is given pictures, and {given.picture} is none")
        scan(network, given.picture, given.out, given.tile)
        return
    picture, planes = read(given.picture)
    colours = 3 if len(planes) > 2 else 1
    colour, alpha = planes[:colours], planes[colours:]
    mask = np.zeros_like(planes[:1])
    if told["mask"]:
        if given.mask is None:
            raise SystemExit("this network fills holes: say where they are with --mask")
        marks = read(given.mask)[1]
        light = (marks[:3] * LUMA).sum(0, keepdims=True) if len(marks) > 2 else marks[:1]
        opacity = marks[-1:] if len(marks) in (2, 4) else 1
        mask = (light * opacity >= 0.5).astype(np.float32)
        if mask.shape[1:] != planes.shape[1:]:
            raise SystemExit(f"the mask is {mask.shape[2]}x{mask.shape[1]} pixels, and the picture {planes.shape[2]}x{planes.shape[1]}")

    seen = (colour * LUMA).sum(0, keepdims=True) if told["inputs"] == 1 and colours == 3 else colour
    if told["inputs"] > 1 and colours == 1:
        seen = seen.repeat(3, 0)
    if told["inputs"] == 4:
        seen = np.concatenate([seen, alpha if len(alpha) else np.ones_like(seen[:1])])
    answer = (change(network, seen * 2 - 1, mask, given.tile) + 1) / 2

    made = answer[:3]
    if told["keeps_colour"] and told["inputs"] == told["outputs"] == 1 and colours == 3:  # luma changes, colours stay
        own = enlarged(colour, told["scale"])
        made = own + made - (own * LUMA).sum(0, keepdims=True)
    elif told["keeps_colour"] and told["inputs"] > 1 and colours == 1 and len(made) == 3:
        made = (made * LUMA).sum(0, keepdims=True)
    if told["outputs"] == 4 and (len(alpha) or not told["keeps_colour"]):
        made = np.concatenate([made, answer[3:]])
    elif len(alpha):
        made = np.concatenate([made, enlarged(alpha, told["scale"])])
    if told["mask"]:
        kept = np.concatenate([colour, alpha])
        made = np.where(mask > 0, made, kept if len(kept) == len(made) else made)

    deep = picture.mode[0] == "I" and len(made) == 1 and given.out.lower().endswith((".png", ".tif", ".tiff"))
    values = np.rint(made.clip(0, 1) * (DEEP if deep else 255)).astype(np.uint16 if deep else np.uint8).transpose(1, 2, 0)
    result = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
    if given.out.lower().endswith((".jpg", ".jpeg")) and result.mode in ("RGBA", "LA"):
        result = Image.alpha_composite(Image.new("RGBA", result.size, "white"), result.convert("RGBA")).convert("RGB")
    profile = picture.info["icc_profile"] if values.shape[2] >= 3 or colours == 1 else None
    result.save(given.out, quality=95, icc_profile=profile)


if __name__ == "__main__":
    main()
