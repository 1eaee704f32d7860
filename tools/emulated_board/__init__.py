"""An emulated 64-bit ARM board: real LiteRT under qemu, and exact counts of instructions."""
