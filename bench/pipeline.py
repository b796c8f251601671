"""The pipeline that Millrace runs in the benchmark, as the job defines it."""

from __future__ import annotations

from datetime import timedelta

from bench.job import Job
from millrace import Pipeline, Scope, catalogue, fields, rolling

_job = Job.from_environment()
_windows = [rolling(_job.features[0], "count", "mean", window=timedelta(hours=1))]

pipeline = Pipeline(
    name=_job.name,
    schema=_job.schema,
    event_id="id",
    key="key" if _job.keyed else None,
    label=None if _job.label_delay else "label",
    task="binary",
    features=[fields(*_job.features), *(_windows if _job.windows else [])],
    models={_job.model: getattr(catalogue, _job.model)},
    scope=Scope.PARTITION if _job.keyed and not _job.windows else Scope.GLOBAL,
)
