"""Emulated 64-bit ARM boards: real LiteRT and onnxruntime under qemu, and exact counts."""
