"""The runner's one error."""


class RunnerError(Exception):
    """Something that the caller can fix; becomes the error line."""
