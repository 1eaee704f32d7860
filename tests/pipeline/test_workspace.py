"""An export's scratch folder gives back what its steps leave in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyml.core.bundle import StageParity
from tinyml.core.spec import Signature, TensorSpec
from tinyml.export.capture import program
from tinyml.pipeline.model_sources.workspace import (
    NAMES,
    PROGRAM,
    CaptureJob,
    CaptureRecord,
    MetricJob,
    Peak,
    Workspace,
)


def test_jobs_and_records_come_back_as_they_were(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    job = CaptureJob("net.py:build", "w.pt", "module.", {"h": "h_out"}, "nhwc")
    work.save_capture_job(job)
    assert work.load_capture_job() == job
    assert not work.capture_record.exists()
    row = StageParity("captured", "sample", "fc", "pass", "rewrite", 0.0, 1.0)
    signature = Signature((TensorSpec("x", (1, 4)),), (TensorSpec("y", (1, 2)),))
    for record in (
        CaptureRecord({"fold_batchnorm": 2}, (row,)),
        CaptureRecord({}, (), Peak(9, "fc"), signature, ("fc",), {"silence": "not finite"}),
    ):
        work.save_capture_record(record)
        assert work.load_capture_record() == record


def test_arrays_come_back_by_name(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    work.save_cases({"random": {"x": x}})
    np.testing.assert_array_equal(work.load_cases()["random"]["x"], x)
    assert work.load_data() == {}
    work.save_data({"x": x, "targets": x[:, 0]})
    assert set(work.load_data()) == {"x", "targets"}
    predictions = {"pytorch": {"y": x}, "litert": {"y": 2 * x}}
    work.save_metric_job(MetricJob("m.py:f", tuple(predictions)), predictions, x[:, 0])
    job, found, targets = work.load_metric_job()
    assert job == MetricJob("m.py:f", ("pytorch", "litert"))
    np.testing.assert_array_equal(found["litert"]["y"], 2 * x)
    np.testing.assert_array_equal(targets, x[:, 0])


def test_names_of_the_program_are_those_of_its_writer() -> None:
    assert (PROGRAM, NAMES) == (program.PROGRAM, program.NAMES)
