"""The steps that quantization adds to an export: ranges, integer files, why they differ."""
