"""How far a worker is with prompts, told to the row of its job."""

from typing import Any, Final

from annotation import jobs
from annotation.jobs import Job, KeptLease, WorkerStops

REPORT_SECONDS: Final = 1.0


class PromptsTold(KeptLease):
    """Keeps the lease of a job with `prompts_done` and `prompts_total`; the thread that
    does so writes them, once a second."""

    def __init__(self, job: Job, *, total: int = 0) -> None:
        super().__init__(job, seconds=REPORT_SECONDS, progress=self.fields)
        self._done, self._total = 0, total

    def progress(self, done: int, total: int) -> None:
        """So many prompts of so many are done. Raises LeaseLostError, WorkerStops."""
        self._done, self._total = done, total
        self.check()
        if jobs.worker_is_stopping():
            raise WorkerStops

    def more(self, prompts: int) -> None:
        """So many more of them are done. Raises as `progress`."""
        self.progress(self._done + prompts, self._total)

    def fields(self) -> dict[str, Any]:
        """Columns of the job."""
        return {"prompts_done": self._done, "prompts_total": self._total}
