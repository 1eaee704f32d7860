"""The doors that a model comes in by, and what each brings along: samples, metric, evidence."""
