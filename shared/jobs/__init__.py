"""Long work as durable resources: started once for each request, watchable, cancellable.

>>> import tempfile, pathlib
>>> store = JobStore(pathlib.Path(tempfile.mkdtemp()), "imports")
>>> job = store.submit("june", {"uri": "june.csv"}, lambda context: {"rows": 3})
>>> [last] = [job for job in store.watch(job.name) if job.state.has_ended]
>>> last.state.name, last.result["rows"]
('SUCCEEDED', 3)
>>> store.close(1.0)
"""

from shared.jobs._job import INTERRUPTED, Job, JobError, State
from shared.jobs._store import JobContext, JobStore, Work

__all__ = ["INTERRUPTED", "Job", "JobContext", "JobError", "JobStore", "State", "Work"]
