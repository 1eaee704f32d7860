"""Which operators export, in every format and precision: ``make operators``."""
