"""Changing pictures in files by a trained network: any size, in tiles, with what else the files hold kept."""

from rivalry.changing.changer import Changer

__all__ = ["Changer"]
