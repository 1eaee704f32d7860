"""The user's own boards: which there are, what is on them, and who measures."""
