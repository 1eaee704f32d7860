"""The steps of an export, from the checked plan to the bundle: one per file."""
