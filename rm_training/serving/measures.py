"""What `/metrics` shows, for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for

_SIZES = tuple(2**n for n in range(11))  # 1 … 1024


class Measures:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "rankwell_requests",
            "Requests answered",
            ["endpoint", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "rankwell_request_seconds",
            "From a request's first byte to its answer",
            ["endpoint"],
            registry=registry,
        )
        self.waiting = Gauge(
            "rankwell_waiting_requests", "Requests in the queue", registry=registry
        )
        self.turned_away = Counter(
            "rankwell_turned_away",
            "Requests refused because the queue was full",
            registry=registry,
        )
        self.ready = Gauge(
            "rankwell_model_ready", "1 once the model is loaded", registry=registry
        )
        self.pass_seconds = Histogram(
            "rankwell_batch_seconds", "The model's time for a batch", registry=registry
        )
        self._batch_requests = Histogram(
            "rankwell_batch_requests",
            "Requests scored together",
            registry=registry,
            buckets=_SIZES,
        )
        self._batch_responses = Histogram(
            "rankwell_batch_responses",
            "Responses scored together",
            registry=registry,
            buckets=_SIZES,
        )
        self._responses = Counter(
            "rankwell_responses", "Responses scored", registry=registry
        )
        self._tokens = Counter(
            "rankwell_tokens",
            "Tokens scored, a prompt counted once for each of its responses",
            registry=registry,
        )

    def batch(self, *, requests: int, responses: int, tokens: int) -> None:
        """One batch was scored."""
        self._batch_requests.observe(requests)
        self._batch_responses.observe(responses)
        self._responses.inc(responses)
        self._tokens.inc(tokens)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
