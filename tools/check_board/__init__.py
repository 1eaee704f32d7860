"""Bundles on emulated boards: what they compute there, and the instructions of an inference."""
