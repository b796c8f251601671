"""The pipeline that Millrace runs in the benchmark, as the job defines it."""

from __future__ import annotations

from datetime import timedelta

from bench.job import Job
from millrace import Pending, Pipeline, catalogue, fields, rolling

_job = Job.from_environment()
_model = getattr(catalogue, _job.model)
_others = {f"{_job.model}_{number}": _model for number in range(2, _job.candidates + 1)}
_pending = Pending()
if _job.label_delay > _pending.limit // 2:  # so that nothing is evicted that is to be joined
    _pending = Pending(limit=2 * _job.label_delay, limit_bytes=1 << 40)
_windows = [rolling(_job.features[0], "count", "mean", window=timedelta(hours=1))]

pipeline = Pipeline(
    name=_job.name,
    schema=_job.schema,
    event_id="id",
    key="key" if _job.keyed else None,
    label=None if _job.label_delay else "label",
    task="binary",
    features=[fields(*_job.features), *(_windows if _job.windows else [])],
    models={_job.model: _model, **_others},
    scope=_job.scope,
    pending=_pending,
)
