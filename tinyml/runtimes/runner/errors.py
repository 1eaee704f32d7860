"""The runner's errors."""


class RunnerError(Exception):
    """Something that the caller can fix; becomes the error line."""


class NotInstalledError(RunnerError):
    """A runtime that is not installed."""
