"""How a model comes in, and what comes with it: samples, metric, the captured program."""
