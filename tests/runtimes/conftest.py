"""Fixtures: one small network as a file of each format."""

from __future__ import annotations

from small_files import onnx_file, onnx_inputs, tflite_file, tflite_inputs

__all__ = ["onnx_file", "onnx_inputs", "tflite_file", "tflite_inputs"]
