"""Every kind of source gives the same pictures, labels and split, whatever it is packed in."""

import gzip
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, TensorDataset

from rivalry.data import ReadOptions, inspect, load
from rivalry.errors import DataError

from .files import contents, everything, noise, save_all, smooth

N = 24
PICTURES = noise(N, 12, 10, 3)
LABELS = np.arange(N) % 3
CLASSES = ("ant", "bee", "cow")
NAMES = [f"{CLASSES[k]}/{i:03d}.png" for i, k in enumerate(LABELS)]


def folder(path):
    save_all(path, PICTURES, names=NAMES)
    (path / "README.md").write_text("not a picture")
    (path / ".hidden.png").write_bytes(b"not one either")
    return path


def zipped(path):
    source = folder(path / "plain")
    with zipfile.ZipFile(path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in reversed(NAMES):
            archive.write(source / name, f"top/{name}")
        archive.writestr("__MACOSX/top/._x.png", b"junk")
    return path / "set.zip"


def tarred(path, mode):
    source = folder(path / "plain")
    target = path / f"set.tar{'.' + mode if mode else ''}"
    with tarfile.open(target, f"w:{mode}") as archive:
        for name in NAMES:
            archive.add(source / name, f"./{name}")
    return target


def npz(path):
    np.savez(path / "set.npz", x=PICTURES, y=LABELS, class_names=np.array(CLASSES))
    return path / "set.npz"


def parquet(path, plain=False, shards=1):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def png(picture):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        return stream.getvalue()

    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    meta = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    path.mkdir(exist_ok=True)
    for shard, rows in enumerate(np.array_split(np.arange(N), shards)):
        cells = [png(PICTURES[i]) if plain else {"bytes": png(PICTURES[i]), "path": NAMES[i]} for i in rows]
        table = pa.table({"image": cells, "label": LABELS[rows], "patient": [f"p{i // 2}" for i in rows]})
        name = f"data-{shard:05d}-of-{shards:05d}.parquet"
        pq.write_table(table.replace_schema_metadata(meta), path / name, row_group_size=5)
    return path if shards > 1 else path / name


class Items(TorchDataset):
    def __init__(self, kind):
        self.kind = kind

    def __len__(self):
        return N

    def __getitem__(self, i):
        x = Image.fromarray(PICTURES[i]) if self.kind == "pil" else torch.from_numpy(PICTURES[i]).permute(2, 0, 1)
        return (x if self.kind != "float" else x.float() / 255), int(LABELS[i])


class Stream(IterableDataset):
    def __iter__(self):
        return ((torch.from_numpy(p), torch.tensor(k)) for p, k in zip(PICTURES, LABELS, strict=True))


SOURCES = {
    "folder": folder,
    "zip": zipped,
    "tar": lambda p: tarred(p, ""),
    "tar.gz": lambda p: tarred(p, "gz"),
    "tar.xz": lambda p: tarred(p, "xz"),
    "tar.bz2": lambda p: tarred(p, "bz2"),
    "npz": npz,
    "parquet": parquet,
    "parquet of plain bytes": lambda p: parquet(p, plain=True),
    "parquet shards": lambda p: parquet(p, shards=3),
    "arrays": lambda p: (PICTURES, LABELS),
    "arrays, channels first": lambda p: (np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2)), LABELS),
    "tensors": lambda p: (torch.from_numpy(PICTURES), torch.from_numpy(LABELS)),
    "tensor data set": lambda p: TensorDataset(torch.from_numpy(PICTURES), torch.from_numpy(LABELS)),
    "data set of tensors": lambda p: Items("tensor"),
    "data set of floats": lambda p: Items("float"),
    "data set of pictures": lambda p: Items("pil"),
    "stream of items": lambda p: Stream(),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_pictures_whatever_they_are_packed_in(tmp_path, kind):
    data = load(SOURCES[kind](tmp_path))
    assert data.spec.shape == (3, 12, 10)
    assert data.spec.classes == 3
    assert data.spec.class_names in (CLASSES, ("0", "1", "2"))
    train, held = contents(data)
    assert train | held == {p.transpose(2, 0, 1).tobytes() for p in PICTURES}
    assert not train & held
    by_pixels = {p.transpose(2, 0, 1).tobytes(): k for p, k in zip(PICTURES, LABELS, strict=True)}
    for side in (data.train, data.held):
        assert [by_pixels[r.numpy().tobytes()] for r in everything(side)] == side.labels.tolist()
    assert (
        inspect(SOURCES[kind](tmp_path / "again") if kind.startswith("arr") else SOURCES[kind](tmp_path)).total == N
    )


def test_folders_and_archives_have_one_fingerprint(tmp_path):
    prints = {load(SOURCES[k](tmp_path / k.replace(".", ""))).fingerprint for k in ("folder", "zip", "tar", "tar.xz")}
    assert len(prints) == 1


@pytest.fixture(autouse=True)
def places(tmp_path):
    for kind in SOURCES:
        (tmp_path / kind.replace(".", "")).mkdir(exist_ok=True)


def test_fingerprints_change_with_content_labels_and_options(tmp_path):
    first = load((PICTURES, LABELS)).fingerprint
    assert load((PICTURES.copy(), LABELS.copy())).fingerprint == first
    touched = PICTURES.copy()
    touched[3, 0, 0, 0] ^= 1
    swapped = LABELS.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    others = [
        load((touched, LABELS)),
        load((PICTURES, swapped)),
        load((PICTURES, LABELS), options=ReadOptions(seed=1)),
    ]
    others += [
        load((PICTURES, LABELS), options=ReadOptions(size=8)),
        load((PICTURES, LABELS), options=ReadOptions(holdout=0.3)),
    ]
    assert len({first, *(d.fingerprint for d in others)}) == 6
    big = ReadOptions(resident_bytes=1, cache=True)
    assert load((PICTURES, LABELS), options=big).fingerprint == first


def idx(array):
    kinds = {"uint8": 8, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}
    head = bytes([0, 0, kinds[array.dtype.name], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("named", ["folder", "file", "zip"])
def test_idx_with_its_official_split(tmp_path, packed, named):
    pack, ending = (gzip.compress, ".gz") if packed else (bytes, "")
    grey = PICTURES[..., 0]
    for side, rows in (("train", slice(0, 16)), ("t10k", slice(16, N))):
        (tmp_path / f"{side}-images-idx3-ubyte{ending}").write_bytes(pack(idx(grey[rows])))
        (tmp_path / f"{side}-labels-idx1-ubyte{ending}").write_bytes(pack(idx(LABELS[rows].astype(np.uint8))))
    source = tmp_path
    if named == "file":
        source = tmp_path / f"train-images-idx3-ubyte{ending}"
    if named == "zip":
        source = tmp_path / "all.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in sorted(tmp_path.glob("*ubyte*")):
                archive.write(file, file.name)
    data = load(source)
    assert np.array_equal(everything(data.train)[:, 0].numpy(), grey[:16])
    assert np.array_equal(everything(data.held)[:, 0].numpy(), grey[16:])
    assert data.held.labels.tolist() == LABELS[16:].tolist()


def test_a_test_set_alone_is_split(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(PICTURES[..., 0]))
    data = load(tmp_path / "t10k-images-idx3-ubyte")
    assert len(data.train) + len(data.held) == N
    assert data.train.labels is None


def test_idx_of_other_types(tmp_path):
    for dtype in ("int16", "int32", "float32", "float64"):
        (tmp_path / f"{dtype}.idx").write_bytes(idx(PICTURES[..., 0].astype(dtype)))
        data = load(tmp_path / f"{dtype}.idx")
        assert contents(data)[0] | contents(data)[1] == {p[..., 0].tobytes() for p in PICTURES}


@pytest.mark.parametrize(
    "spelling", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"]
)
def test_npz_with_its_official_split(tmp_path, spelling):
    a, b, c, d = spelling.split()
    parts = {
        a: PICTURES[:16],
        b: LABELS[:16, None],
        c: PICTURES[16:],
        d: LABELS[16:, None],
        "val_images": PICTURES[:4],
    }
    np.savez_compressed(tmp_path / "set.npz", **parts)
    data = load(tmp_path / "set.npz")
    assert np.array_equal(everything(data.held).permute(0, 2, 3, 1).numpy(), PICTURES[16:])
    assert data.train.labels.tolist() == LABELS[:16].tolist()
    assert any("left aside" in n for n in data.notes)


def test_folders_with_their_official_split(tmp_path):
    names = [f"{'train' if i < 16 else 'test'}/{n}" for i, n in enumerate(NAMES)]
    save_all(tmp_path / "set", PICTURES, names=names)
    data = load(tmp_path / "set")
    assert (len(data.train), len(data.held)) == (16, 8)
    assert data.spec.class_names == CLASSES
    assert contents(data)[1] == {p.transpose(2, 0, 1).tobytes() for p in PICTURES[16:]}


def test_parquet_shards_with_their_official_split(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    whole = pq.read_table(parquet(tmp_path / "one"))
    (tmp_path / "data").mkdir()
    pq.write_table(whole.slice(0, 16), tmp_path / "data" / "train-00000-of-00001.parquet")
    pq.write_table(whole.slice(16), tmp_path / "data" / "test-00000-of-00001.parquet")
    data = load(tmp_path / "data")
    assert (len(data.train), len(data.held)) == (16, 8)
    assert contents(data)[1] == {p.transpose(2, 0, 1).tobytes() for p in PICTURES[16:]}
    assert data.spec.class_names == CLASSES


def test_a_column_of_parquet_groups(tmp_path):
    path = parquet(tmp_path)
    data = load(path, options=ReadOptions(group="patient", holdout=0.3))
    where = {p.transpose(2, 0, 1).tobytes(): i // 2 for i, p in enumerate(PICTURES)}
    train, held = ({where[r] for r in side} for side in contents(data))
    assert held
    assert not train & held


def test_npy_is_read_and_mapped(tmp_path):
    np.save(tmp_path / "set.npy", PICTURES)
    data = load(tmp_path / "set.npy")
    assert data.spec.shape == (3, 12, 10)
    assert data.train.labels is None


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_one_data_file_in_a_container(tmp_path, kind):
    inner = npz(tmp_path / "folder")
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            archive.write(inner, "deep/set.npz")
    data = load(tmp_path / "set.zip" if kind == "zip" else tmp_path / "folder")
    assert data.spec.class_names == CLASSES


def test_flat_rows_of_a_table_are_pictures(tmp_path):
    grey = noise(20, 64)
    lines = [",".join(["label", *(f"pixel{i}" for i in range(64))])]
    lines += [",".join(map(str, [i % 2, *row])) for i, row in enumerate(grey.tolist())]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    data = load(tmp_path / "set.csv")
    assert data.spec.shape == (1, 8, 8)
    assert data.spec.classes == 2
    assert contents(data)[0] | contents(data)[1] == {g.tobytes() for g in grey}


def test_mixed_sizes_modes_and_depths(tmp_path):
    soft = smooth(12, 40, 60)
    for i, picture in enumerate(soft):
        image = Image.fromarray(picture).resize((60 + i, 40 + 2 * i))
        image = image.convert("L") if i % 3 == 0 else image
        image.save(tmp_path / f"{i}.{'jpg' if i % 2 else 'png'}")
    data = load(tmp_path, options=ReadOptions(holdout=0.25))
    assert data.spec.shape == (3, 32, 40)
    assert any("resized 12 of 12 pictures to 32x40 (crop)" in n for n in data.notes)
    assert any("grey and colour" in n for n in data.notes)


def test_deep_pictures_stay_deep(tmp_path):
    deep = noise(12, 9, 9, dtype=np.uint16) >> 4
    save_all(tmp_path, deep)
    data = load(tmp_path)
    assert data.modality.bits == 16
    assert data.modality.high == 4095
    x = data.train.batch(torch.arange(len(data.train)), torch.device("cpu")).x
    assert -1 <= x.min() < -0.9
    assert 0.9 < x.max() <= 1


def test_grey_pictures_stored_in_colour_are_told_of(tmp_path):
    save_all(tmp_path, noise(12, 9, 9, 1).repeat(3, 3))
    assert any("channels=1" in n for n in load(tmp_path).notes)
    assert load(tmp_path, options=ReadOptions(channels=1)).spec.shape == (1, 9, 9)


def test_a_few_broken_pictures_are_left_out_with_a_note(tmp_path):
    paths = save_all(tmp_path, noise(20, 9, 9, 3))
    paths[3].write_bytes(paths[3].read_bytes()[:-60])
    paths[7].write_text("I am a text file")
    data = load(tmp_path)
    assert len(data.train) + len(data.held) == 18
    note = next(n for n in data.notes if "cannot be read" in n)
    assert "2 pictures of 20" in note
    assert "003" not in note, "notes are recorded with the run, and files may be called after people"
    assert dict(inspect(tmp_path).broken) == {
        "003.png": "it is truncated", "007.png": "its content is no picture"
    }  # fmt: skip
    assert 0 not in [r.sum() for r in everything(data.train)]


def test_labels_and_groups_from_a_csv(tmp_path):
    save_all(tmp_path / "set", noise(20, 9, 9, 3))
    rows = [f"{i:03d},{'old' if i % 2 else 'new'},p{i // 4}" for i in range(18)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,patient", *rows]))
    options = ReadOptions(labels=tmp_path / "labels.csv", group="patient")
    data = load(tmp_path / "set", options=options)
    assert data.spec.class_names == ("new", "old")
    assert len(data.train) + len(data.held) == 18
    assert len(data.held) % 2 == 0


def test_options_survive_toml():
    options = ReadOptions(size=(8, 6), labels=None, only=("a", "b"), limit=5)
    assert ReadOptions.from_dict(options.as_dict()) == options
    with pytest.raises(Exception, match="did you mean 'limit'"):
        ReadOptions.from_dict({"limits": 3})


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 2},
        {"channels": 2},
        {"holdout": 0.9},
        {"limit": 0},
        {"fit": "squeeze"},
        {"group": "(a)(b)"},
        {"group": "(a"},
    ],
)
def test_options_that_make_no_sense(bad):
    with pytest.raises(DataError):
        ReadOptions(**bad)
