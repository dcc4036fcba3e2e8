"""The addresses of the scoring server, and what every request to it goes through."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from rm_training.serving.batcher import Batcher
from rm_training.serving.kl import BadLogprobs, penalised
from rm_training.serving.measures import Measures
from rm_training.serving.requests import (
    Limits,
    Refusal,
    read_remote,
    read_reward,
    read_score,
)

GONE: Final = 499
"""What is counted for a client that did not wait for its answer."""

Answer = Callable[[bytes], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the addresses share."""

    batcher: Batcher
    measures: Measures
    limits: Limits
    model: str
    """What answers call the model: its folder and the start of its manifest's hash."""
    bias: Callable[[], float | None]
    token: str = ""
    """What clients must send; empty: nobody is asked."""

    # --- Scoring ------------------------------------------------------------------

    async def score(self, raw: bytes) -> Any:
        """`POST /score`: {"prompt", "responses"} → {"rewards", "normalised"?, "model"}.

        A list of such objects is answered by a list, in its order.
        """
        asked = read_score(raw, self.limits)
        rewards = await self.batcher.score(asked.items)
        answers = [self._scored(of_prompt) for of_prompt in rewards]
        return answers if asked.is_list else answers[0]

    def _scored(self, rewards: list[float]) -> dict[str, Any]:
        answer: dict[str, Any] = {"rewards": rewards}
        bias = self.bias()
        if bias is not None:
            answer["normalised"] = [reward - bias for reward in rewards]
        return answer | {"model": self.model}

    async def reward(self, raw: bytes) -> Any:
        """`POST /reward`: R = r - beta * KL of one response (`kl.penalised`).

        {"prompt", "response", "policy_logprobs", "reference_logprobs", "beta"} →
        {"reward", "r", "kl", "per_token", "model"}; r is the raw reward of `/score`.
        """
        asked = read_reward(raw)
        logprobs: dict[str, Any] = {
            "policy": asked.policy,
            "reference": asked.reference,
            "beta": asked.beta,
        }
        try:
            penalised(0.0, **logprobs)  # refused before the model works for it
            [[r]] = await self.batcher.score([asked.item])
            found = penalised(r, **logprobs)
        except BadLogprobs as error:
            raise Refusal(422, "bad_logprobs", str(error)) from error
        return {
            "reward": found.reward,
            "r": r,
            "kl": found.kl,
            "per_token": found.per_token,
            "model": self.model,
        }

    async def remote(self, raw: bytes) -> Any:
        """`POST /get_reward`, for OpenRLHF's --remote_rm_url.

        {"query": [text], "prompts": [text], "labels": [any]} → {"rewards", "scores",
        "extra_logs"}: what its SingleTurnAgentExecutor, and the remote_rm_fn of version
        0.6, send and read. Both are raw rewards, and there is nothing more to log.
        """
        rewards = await self.batcher.score(read_remote(raw, self.limits))
        flat = [reward for [reward] in rewards]
        return {"rewards": flat, "scores": flat, "extra_logs": {}}

    # --- Probes -------------------------------------------------------------------

    async def livez(self, request: Request) -> Response:
        """The process answers."""
        return _json({"alive": True})

    async def readyz(self, request: Request) -> Response:
        """200 once rewards can be had, else 503 and why."""
        state = self.batcher.state
        body = {"ready": state == "ready", "model": self.model, "state": state}
        if state == "refused":
            body["reason"] = self.batcher.reason
        return _json(body, status=200 if state == "ready" else 503)

    async def metrics(self, request: Request) -> Response:
        """Counters and histograms, for Prometheus."""
        if not self._may_ask(request):
            return _refused(_no_token())
        return Response(self.measures.text(), media_type="text/plain; version=0.0.4")

    # --- What every POST goes through ---------------------------------------------

    def answering(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint that answers with `answer`, counted and timed."""

        async def endpoint(request: Request) -> Response:
            path, started = request.url.path, time.perf_counter()
            try:
                response = await self._answer(request, answer)
            except ClientDisconnect:
                response = Response(status_code=GONE)
            self.measures.requests.labels(path, response.status_code).inc()
            self.measures.seconds.labels(path).observe(time.perf_counter() - started)
            return response

        return endpoint

    async def _answer(self, request: Request, answer: Answer) -> Response:
        try:
            if not self._may_ask(request):
                raise _no_token()
            async with asyncio.timeout(self.limits.seconds):
                raw = await self._body(request)
            async with asyncio.timeout(self.limits.seconds):
                return _json(await _while_it_waits(request, answer(raw)))
        except Refusal as refusal:
            return _refused(refusal)
        except TimeoutError:
            said = f"no answer within {self.limits.seconds:g} seconds; try again"
            return _refused(Refusal(503, "timeout", said, retry_after=1))

    def _may_ask(self, request: Request) -> bool:
        """Whether the request brings the token; the time taken tells nothing of it."""
        if not self.token:
            return True
        given = request.headers.get("Authorization", "")
        wanted = f"Bearer {self.token}"
        return hmac.compare_digest(given.encode(), wanted.encode())

    async def _body(self, request: Request) -> bytes:
        """All of it. Raises Refusal beyond the limit, before more than that is read.

        A form of another site's page can send no `application/json`, so a browser on
        this machine is no way in.
        """
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind.lower() != "application/json":
            raise Refusal(415, "not_json", "send Content-Type: application/json")
        announced = request.headers.get("Content-Length", "0")
        if announced.isdecimal() and int(announced[:20]) > self.limits.body_bytes:
            raise self._too_large()
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self.limits.body_bytes:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> Refusal:
        most = self.limits.body_bytes
        return Refusal(413, "too_large", f"a request has at most {most} bytes")


async def _while_it_waits(request: Request, answer: Awaitable[Any]) -> Any:
    """The answer, or ClientDisconnect as soon as nobody waits for it any more: its
    place in the queue is then free."""
    working = asyncio.ensure_future(answer)
    left = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, left):
            task.cancel()
            with suppress(asyncio.CancelledError, Refusal):
                await task


async def _gone(request: Request) -> None:
    """Returns when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(body: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _no_token() -> Refusal:
    return Refusal(
        401, "no_token", "send Authorization: Bearer and this server's token"
    )


def _refused(refusal: Refusal) -> Response:
    body = {"code": refusal.code, "message": str(refusal)}
    response = _json(body, status=refusal.status)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if refusal.status == 413:
        # What was not read would be taken for the next request.
        response.headers["Connection"] = "close"
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def make_app(service: Service) -> Starlette:
    """The application; its model is loaded when it starts and let go when it ends."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        await asyncio.to_thread(service.batcher.close)

    post = {
        "/score": service.score,
        "/reward": service.reward,
        "/get_reward": service.remote,
    }
    get = {
        "/livez": service.livez,
        "/readyz": service.readyz,
        "/metrics": service.metrics,
    }
    routes = [
        Route(path, service.answering(answer), methods=["POST"])
        for path, answer in post.items()
    ]
    routes += [Route(path, view, methods=["GET"]) for path, view in get.items()]
    return Starlette(routes=routes, lifespan=lifespan)
