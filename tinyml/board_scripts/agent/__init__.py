"""Runs on a board: reports its facts, and carries out requests of tinyml.

It is copied as one archive (`tinyml.core.program_archive`). Standard library only; Python 3.9 is
needed, and 3.7 still shows its facts. A subcommand is a function of its arguments that returns what
is printed, in a file of its own with its row in `tinyml.board_scripts.agent.main.COMMANDS`.
"""
