"""Types that pass between packages, errors, the registry, files and processes. No back end."""
