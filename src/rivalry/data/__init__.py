"""Data: read from what users have, inspected, split, encoded for networks and written back.

data = load("mnist-5k")
data.train.batch(batch_index(len(data.train), 0, 64, seed=0), torch.device("cpu")).x    # [64, 1, 28, 28]
"""

from rivalry.data.base import Dataset, Modality, Store
from rivalry.data.builtin import names
from rivalry.data.columns.schema import Field, Schema
from rivalry.data.image import ImageModality
from rivalry.data.inspection import Column, Inspection
from rivalry.data.loading import inspect, load, register_modality, restore, schema
from rivalry.data.options import ReadOptions
from rivalry.data.order import batch_index
from rivalry.data.points import PointsModality
from rivalry.data.table import TableModality
from rivalry.data.truths import Truth, truth

__all__ = [
    "Column",
    "Dataset",
    "Field",
    "ImageModality",
    "Inspection",
    "Modality",
    "PointsModality",
    "ReadOptions",
    "Schema",
    "Store",
    "TableModality",
    "Truth",
    "batch_index",
    "inspect",
    "load",
    "names",
    "register_modality",
    "restore",
    "schema",
    "truth",
]
