"""One folder per file format: how a captured program is written, named, rewritten."""
