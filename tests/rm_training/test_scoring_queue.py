"""The queue in front of the model, over real HTTP: batching, back-pressure, tokens,
timeouts, clients that leave. The model is one that waits until it is told to work."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from rm_training.serving.app import Service
from rm_training.serving.batcher import Batcher, Scorer
from rm_training.serving.measures import Measures
from rm_training.serving.requests import Limits
from tests.rm_training.scoring_client import Answer, Gated, Remote, served, until


def a_service(
    load: Callable[[], Scorer], *, limits: Limits | None = None, token: str = ""
) -> Service:
    limits, measures = limits or Limits(), Measures()
    return Service(
        batcher=Batcher(load, limits=limits, measures=measures),
        measures=measures,
        limits=limits,
        model="gated@0",
        bias=lambda: None,
        token=token,
    )


@dataclass(frozen=True)
class Stage:
    model: Gated
    remote: Remote
    pool: ThreadPoolExecutor

    def send(self, text: str = "r", path: str = "/score") -> "Future[Answer]":
        body = {"prompt": "p", "responses": [text]}
        return self.pool.submit(self.remote.ask, path, body)

    def busy(self) -> "Future[Answer]":
        """One request that the model is at; those who come later wait."""
        first = self.send("first")
        assert self.model.at_work.wait(30)
        return first

    def waiting(self) -> int:
        return int(self.remote.measure("rankwell_waiting_requests"))


@contextmanager
def stage(**options: Any) -> Iterator[Stage]:
    model = Gated()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(32))
        service = a_service(lambda: model, **options)
        remote = stack.enter_context(served(service))
        stack.callback(model.gate.set)
        until(lambda: remote.ask("/readyz").status == 200)
        yield Stage(model, remote, pool)


# --- Together ---------------------------------------------------------------------


def test_requests_that_wait_are_scored_together() -> None:
    with stage() as on:
        first = on.busy()
        others = [on.send("r" * n) for n in range(1, 6)]
        until(lambda: on.waiting() == 5)
        on.model.gate.set()
        assert first.result().json == {"rewards": [5.0], "model": "gated@0"}
        assert [a.result().json["rewards"] for a in others] == [
            [float(n)] for n in range(1, 6)
        ]
        assert on.model.batches == [1, 5]
        assert on.remote.measure("rankwell_batch_requests_sum") == 6
        assert on.remote.measure("rankwell_responses_total") == 6
        assert on.remote.measure("rankwell_tokens_total") == 6 + 5 + 15


def test_a_batch_ends_at_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rm_training.serving.batcher.TOKENS_AT_ONCE", 22)
    with stage() as on:
        on.busy()
        others = [on.send("r" * 10) for _ in range(5)]  # 11 tokens each
        until(lambda: on.waiting() == 5)
        on.model.gate.set()
        assert {answer.result().status for answer in others} == {200}
        assert on.model.batches == [1, 2, 2, 1]


def test_a_request_that_breaks_the_model_fails_alone() -> None:
    with stage() as on:
        on.busy()
        good, bad, good2 = on.send("good"), on.send("poison"), on.send("good")
        until(lambda: on.waiting() == 3)
        on.model.gate.set()
        assert good.result().json["rewards"] == good2.result().json["rewards"] == [4.0]
        assert bad.result().status == 500
        assert bad.result().json["code"] == "model_failed"
        assert b"secret" not in bad.result().raw
        assert on.send().result().status == 200


def test_a_reward_that_is_no_number_is_an_error_and_never_null() -> None:
    with stage() as on:
        on.model.gate.set()
        answer = on.send("nan").result()
        assert (answer.status, answer.json["code"]) == (500, "model_failed")


def test_what_cannot_be_encoded_is_told_to_its_sender_only() -> None:
    with stage() as on:
        on.busy()
        bad, good = on.send("unscorable"), on.send()
        until(lambda: on.waiting() == 2)
        on.model.gate.set()
        assert good.result().status == 200
        assert bad.result().status == 422
        assert bad.result().json["message"] == "response 1 is unscorable"


# --- Limits -----------------------------------------------------------------------


def burst(on: Stage) -> list[int]:
    """Statuses of ten requests that come while the model is busy."""
    on.busy()
    others = [on.send() for _ in range(10)]
    until(lambda: on.waiting() + sum(one.done() for one in others) == 10)
    on.model.gate.set()
    return sorted(one.result().status for one in others)


def test_a_full_queue_turns_away_with_a_word_when_to_come_again() -> None:
    with stage(limits=Limits(waiting=3)) as on:
        assert burst(on) == [200] * 3 + [503] * 7
        assert on.remote.measure("rankwell_turned_away_total") == 7
        assert on.send().result().status == 200


def test_without_that_limit_all_of_them_would_wait() -> None:
    # The negative control: the burst above does fill a queue that holds less.
    with stage(limits=Limits(waiting=1000)) as on:
        assert burst(on) == [200] * 10


def test_busy_is_503_with_retry_after() -> None:
    with stage(limits=Limits(waiting=0)) as on:
        answer = on.send().result()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.json["code"] == "busy"


def test_an_answer_that_takes_too_long_frees_its_place() -> None:
    with stage(limits=Limits(waiting=1, seconds=0.2)) as on:
        first = on.busy()
        second = on.send()
        for late in (first, second):
            assert late.result().status == 503
            assert late.result().json["code"] == "timeout"
        assert on.waiting() == 0
        on.model.gate.set()
        until(lambda: on.send().result().status == 200)
        assert on.model.batches[0] == 1


def test_a_client_that_left_is_not_worked_for() -> None:
    with stage() as on:
        first = on.busy()
        leaver = on.remote.connect()
        leaver.request(
            "POST",
            "/score",
            b'{"prompt": "p", "responses": ["gone"]}',
            {"Content-Type": "application/json"},
        )
        until(lambda: on.waiting() == 1)
        leaver.close()
        until(lambda: on.waiting() == 0)
        on.model.gate.set()
        assert first.result().status == 200
        assert on.send().result().status == 200
        assert on.model.batches == [1, 1]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_beyond_the_limit_is_not_read_to_its_end(*, announced: bool) -> None:
    with stage(limits=Limits(body_bytes=1000)) as on:
        if announced:
            answer = on.remote.ask("/score", b" " * 1001)
        else:
            connection = on.remote.connect()
            headers = {"Content-Type": "application/json"}
            pieces = iter([b" " * 600] * 2)
            connection.request("POST", "/score", pieces, headers, encode_chunked=True)
            response = connection.getresponse()
            answer = Answer(response.status, {}, response.read())
            connection.close()
        assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_a_body_that_never_comes_is_given_up() -> None:
    head = (
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 10\r\n\r\n"
    )
    with (
        stage(limits=Limits(seconds=0.2)) as on,
        socket.create_connection(("127.0.0.1", on.remote.port), 30) as client,
    ):
        client.sendall(head + b"{")
        assert client.recv(100).startswith(b"HTTP/1.1 503")


def test_tokens_of_a_request_are_limited() -> None:
    with stage(limits=Limits(tokens=8)) as on:
        on.model.gate.set()
        assert on.send("1234567").result().status == 200
        answer = on.send("12345678").result()
        assert answer.status == 422
        assert "9 tokens in one request; the most is 8" in answer.json["message"]


def test_a_form_of_another_site_is_no_request() -> None:
    with stage() as on:
        answer = on.remote.ask("/score", b"{}", Content_Type="text/plain")
        assert (answer.status, answer.json["code"]) == (415, "not_json")


# --- Who may ask ------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ", "Bearer s3cre", "bearer s3cret", "Bearer s3cret2"]
)
def test_without_the_token_nothing_is_told(sent: str) -> None:
    with stage(token="s3cret") as on:
        stranger = Remote(on.remote.port)
        for path in ("/score", "/reward", "/get_reward"):
            answer = stranger.ask(path, {}, Authorization=sent)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert stranger.ask("/metrics", Authorization=sent).status == 401
        assert stranger.ask("/livez").status == stranger.ask("/readyz").status == 200
        on.model.gate.set()
        assert on.send().result().status == 200


# --- Without a model --------------------------------------------------------------


def test_while_the_model_is_loaded_the_server_lives_and_is_not_ready() -> None:
    loaded = threading.Event()

    def load() -> Scorer:
        assert loaded.wait(30)
        return Gated()

    with served(a_service(load)) as remote:
        assert remote.ask("/livez").json == {"alive": True}
        ready = remote.ask("/readyz")
        assert (ready.status, ready.json["state"]) == (503, "loading")
        answer = remote.ask("/score", {"prompt": "p", "responses": ["r"]})
        assert (answer.status, answer.json["code"]) == (503, "loading")
        assert answer.headers["retry-after"] == "1"
        loaded.set()
        until(lambda: remote.ask("/readyz").status == 200)
