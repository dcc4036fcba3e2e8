"""One thread that owns the model, and a bounded queue in front of it.

Requests that wait are scored together: while the model works on one batch, the next
one gathers. Nothing is held back on purpose but for LINGER after an idle time, so that
those who arrive together are together.
"""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import structlog

from rm_training.batch import EncodedPrompt
from rm_training.errors import RunError
from rm_training.serving.measures import Measures
from rm_training.serving.requests import Item, Limits, Refusal

LINGER: Final = 0.002
"""Seconds that an idle model waits for others after the first request."""
TOKENS_AT_ONCE: Final = 16_384
"""Of a batch; a larger request is a batch by itself."""
FRESH: Final = 1
"""Seconds until another try where the queue is full."""

State = Literal["loading", "ready", "refused"]
Rewards = list[list[float]]
log = structlog.get_logger(__name__)


class Scorer(Protocol):
    """What the thread loads; only the thread calls it."""

    def encode(self, item: Item) -> EncodedPrompt:
        """Token ids. Raises RunError for what cannot be scored."""

    def rewards(self, prompts: Sequence[EncodedPrompt]) -> Rewards:
        """Rewards of each prompt's responses, in their order."""


@dataclass(eq=False)
class _Job:
    items: Sequence[Item]
    answer: "asyncio.Future[Rewards]"
    prompts: list[EncodedPrompt] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(
            len(prompt.prompt) + len(response)
            for prompt in self.prompts
            for response in prompt.responses
        )


class Batcher:
    """Scores what is submitted from one event loop, in a thread of its own.

    1. The queue changes under the lock of `_arrived` only.
    2. A future belongs to the event loop: the thread looks whether it was cancelled,
       and leaves setting it to the loop.
    """

    def __init__(
        self, load: Callable[[], Scorer], *, limits: Limits, measures: Measures
    ) -> None:
        self.state: State = "loading"
        self.reason = ""
        """Why the model was refused: one line for people."""
        self._load = load
        self._limits = limits
        self._measures = measures
        self._waiting: deque[_Job] = deque()
        self._arrived = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Load the model and begin."""
        self._thread.start()

    def close(self) -> None:
        """Score what waits, and end; returns when that is done."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        self._thread.join()

    async def score(self, items: Sequence[Item]) -> Rewards:
        """Rewards of the responses of each item, all from the same pass or passes.

        Whoever is cancelled leaves the queue. Raises Refusal: 503 while there is no
        model, or no room in the queue; 422 and 413 for what cannot be scored.
        """
        if self.state != "ready":
            raise self._no_model()
        job = _Job(items, asyncio.get_running_loop().create_future())
        with self._arrived:
            if len(self._waiting) >= self._limits.waiting:
                self._measures.turned_away.inc()
                raise Refusal(
                    503,
                    "busy",
                    f"{self._limits.waiting} requests wait already; try again",
                    retry_after=FRESH,
                )
            self._waiting.append(job)
            self._measures.waiting.set(len(self._waiting))
            self._arrived.notify()
        try:
            return await job.answer
        finally:
            self._drop(job)

    def _no_model(self) -> Refusal:
        if self.state == "loading":
            return Refusal(
                503, "loading", "the model is being loaded", retry_after=FRESH
            )
        return Refusal(503, "no_model", self.reason)

    def _drop(self, job: _Job) -> None:
        with self._arrived:
            if job in self._waiting:
                self._waiting.remove(job)
            self._measures.waiting.set(len(self._waiting))

    # --- The thread ---------------------------------------------------------------

    def _run(self) -> None:
        try:
            scorer = self._load()
        except Exception as error:  # noqa: BLE001  whatever it is, people are told
            self.reason = str(error) if isinstance(error, RunError) else repr(error)
            self.state = "refused"
            log.error("model refused", why=self.reason)
            return
        self.state = "ready"
        self._measures.ready.set(1)
        log.info("model ready")
        while self._await_work():
            self._score_together(scorer, self._batch(scorer))

    def _await_work(self) -> bool:
        """Whether there is any; False once everything is done and the end was asked."""
        with self._arrived:
            if not self._waiting and not self._closing:
                self._arrived.wait_for(lambda: self._waiting or self._closing)
                self._arrived.wait_for(lambda: self._closing, timeout=LINGER)
            return bool(self._waiting) or not self._closing

    def _batch(self, scorer: Scorer) -> list[_Job]:
        """The oldest jobs of the queue, encoded, up to TOKENS_AT_ONCE."""
        batch: list[_Job] = []
        tokens = 0
        while tokens < TOKENS_AT_ONCE and (job := self._next()) is not None:
            try:
                job.prompts = [scorer.encode(item) for item in job.items]
                self._refuse_too_much(job)
            except RunError as error:
                refusal = Refusal(422, "cannot_be_scored", str(error))
                refusal.__cause__ = error
                _settle(job, refusal)
            except Exception as error:  # noqa: BLE001  answered to its sender
                _settle(job, _failure(error))
            else:
                batch.append(job)
                tokens += job.tokens
        return batch

    def _next(self) -> _Job | None:
        """The oldest job that somebody still waits for."""
        with self._arrived:
            while self._waiting:
                job = self._waiting.popleft()
                self._measures.waiting.set(len(self._waiting))
                if not job.answer.cancelled():
                    return job
        return None

    def _refuse_too_much(self, job: _Job) -> None:
        if job.tokens > self._limits.tokens:
            raise RunError(
                f"{job.tokens} tokens in one request; the most is {self._limits.tokens}"
            )

    def _score_together(self, scorer: Scorer, batch: list[_Job]) -> None:
        """Where that fails, each by itself: whom it is not about gets his rewards."""
        batch = [job for job in batch if not job.answer.cancelled()]
        if not batch:
            return
        try:
            rewards = self._rewards(scorer, batch)
        except Exception as error:  # noqa: BLE001  answered to its sender
            if len(batch) == 1:
                _settle(batch[0], _failure(error))
                return
            for job in batch:
                self._score_together(scorer, [job])
            return
        for job, of_job in zip(batch, rewards, strict=True):
            _settle(job, of_job)

    def _rewards(self, scorer: Scorer, batch: list[_Job]) -> list[Rewards]:
        prompts = [prompt for job in batch for prompt in job.prompts]
        with self._measures.pass_seconds.time():
            scored = scorer.rewards(prompts)
        if not all(math.isfinite(reward) for of_one in scored for reward in of_one):
            raise ArithmeticError("the model gave a reward that is no finite number")
        responses = sum(len(of_one) for of_one in scored)
        self._measures.batch(
            requests=len(batch),
            responses=responses,
            tokens=sum(job.tokens for job in batch),
        )
        rest = iter(scored)
        return [[next(rest) for _ in job.prompts] for job in batch]


def _settle(job: _Job, outcome: Rewards | Refusal) -> None:
    """Answer from the job's event loop; nobody hears it who left meanwhile."""

    def answer() -> None:
        if job.answer.done():
            return
        if isinstance(outcome, Refusal):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)

    job.answer.get_loop().call_soon_threadsafe(answer)


def _failure(error: Exception) -> Refusal:
    log.error("scoring failed", exc_info=error)
    said = f"the model failed ({type(error).__name__}); the server's log says more"
    return Refusal(500, "model_failed", said)
