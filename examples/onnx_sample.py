"""Make pictures of noise by a network that `rivalry export` wrote: numpy, Pillow and onnxruntime are all it takes.

    python onnx_sample.py digits.onnx sheet.png -n 36 --label 3
"""

import argparse
import json
import math

import numpy as np
import onnxruntime
from PIL import Image


def noise(told, n, rng):
    """[n, latent], each entry drawn from what the network was trained with."""
    how, size = told["noise"], told["noise"].get("size", told["latent"])
    if how["distribution"] == "uniform":
        z = rng.uniform(-1, 1, (n, size))
    else:
        z = rng.standard_normal((n, size))
        if how["distribution"] == "sphere":
            z *= math.sqrt(size) / np.linalg.norm(z, axis=1, keepdims=True)
    parts = [z * how["spread"], rng.integers(2, size=(n, how.get("signs", 0))) * 2 - 1]
    parts += [np.eye(levels)[rng.integers(levels, size=n)] for levels in how.get("codes", ())]
    parts.append(rng.uniform(-1, 1, (n, how.get("reals", 0))))
    return np.concatenate(parts, 1).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out", help="a sheet, .png")
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--label", help="a class, by name or number; drawn evenly without it")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    session = onnxruntime.InferenceSession(given.model, providers=["CPUExecutionProvider"])
    told = json.loads(session.get_modelmeta().custom_metadata_map.get("rivalry", "{}"))
    if told.get("kind") != "makes pictures":
        raise SystemExit(f"{given.model} is no network that makes pictures of noise; onnx_apply.py is for those that change some")
    rng = np.random.default_rng(given.seed)
    feed = {"noise": noise(told, given.n, rng)}
    if told["classes"]:
        names = told["classes"]
        chosen = names.index(given.label) if given.label in names else int(given.label) if given.label else None
        feed["label"] = rng.integers(len(names), size=given.n) if chosen is None else np.full(given.n, chosen, np.int64)
    pictures = session.run(None, feed)[0]

    n, channels, height, width = pictures.shape
    columns = math.ceil(math.sqrt(n))
    sheet = np.full((math.ceil(n / columns) * height, columns * width, channels), 255, np.uint8)
    for i, picture in enumerate(np.rint((pictures.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = picture
    Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(given.out)


if __name__ == "__main__":
    main()
