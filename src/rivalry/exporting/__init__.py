"""Trained networks as ONNX files, for programs that need neither PyTorch nor rivalry."""

from rivalry.exporting.onnx_file import Exported
from rivalry.exporting.trained import export_changer, export_generator

__all__ = ["Exported", "export_changer", "export_generator"]
