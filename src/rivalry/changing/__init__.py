"""Changing pictures in files by a trained network: any size, in tiles, with what else the files hold kept."""

from rivalry.changing.changer import Changer
from rivalry.changing.files import Changed, apply_files
from rivalry.changing.naming import Named, name_files
from rivalry.changing.tiles import change
from rivalry.changing.ways import Ways

__all__ = ["Changed", "Changer", "Named", "Ways", "apply_files", "change", "name_files"]
