"""A model that stays loaded: inputs come on stdin, outputs go to stdout, as messages.

The first message says what is loaded, or why it is not. Each further one answers a request: with
outputs, or with an ``error`` after which the next request can come.
"""

from __future__ import annotations

import argparse
import faulthandler
from typing import IO

from tinyml.runtimes.runner.engines import Arrays
from tinyml.runtimes.runner.errors import RunnerError
from tinyml.runtimes.runner.loading import Loaded, check_feeds, failed, failure
from tinyml.runtimes.runner.machine import machine
from tinyml.runtimes.runner.messages import receive, send


def serve(options: argparse.Namespace, requests: IO[bytes], answers: IO[bytes]) -> int:
    """Answer until the requests end; the exit code.

    This process ends by itself when nothing happens for ``--serve`` seconds: when the model hangs,
    also in native code, and when the other side is gone and the connection does not show it.
    """
    faulthandler.dump_traceback_later(options.serve, exit=True)
    try:
        loaded = Loaded(options)
    except (RunnerError, MemoryError) as error:
        send(answers, failure(error, options), {})
        return 1
    send(answers, dict(loaded.facts(), machine=machine()), {})
    while True:
        faulthandler.dump_traceback_later(options.serve, exit=True)
        try:
            _, feeds = receive(requests)
        except EOFError:
            return 0
        try:
            send(answers, {}, run_once(loaded, feeds))
        except (RunnerError, MemoryError) as error:
            send(answers, failure(error, options), {})


def run_once(loaded: Loaded, feeds: Arrays) -> Arrays:
    """The outputs of one call."""
    check_feeds(feeds, loaded.model)
    try:
        outputs: Arrays = loaded.model.run(feeds)
    except MemoryError:
        raise
    except Exception as error:  # the runtimes' exceptions share no base class
        raise failed(loaded.options, error) from error
    return outputs
