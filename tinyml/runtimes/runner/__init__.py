"""The program that runs and times one model file, here and on boards; `main` starts it.

Its modules are written in the language of Python 3.9 and import numpy, one runtime and each other
alone: `tinyml.runtimes.runner_archive` packs them into the one file that is pushed.
"""
