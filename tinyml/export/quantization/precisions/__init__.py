"""The precisions: each is declared in a file, see `tinyml.export.quantization.precision`."""
