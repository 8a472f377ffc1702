"""What a server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, load: Callable[[], tuple[int, int]]) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "vitrine_requests", "Requests to the API, by their HTTP status", ["status"], registry=registry
        )
        self.left = Counter("vitrine_left", "Requests whose client left before the answer ended", registry=registry)
        self.tokens = Counter("vitrine_tokens", "Tokens of prompts and of answers", ["kind"], registry=registry)
        self.first_text = Histogram(
            "vitrine_first_text_seconds",
            "Time from a request to the first text of its answer",
            buckets=_SECONDS,
            registry=registry,
        )
        self.answer = Histogram(
            "vitrine_answer_seconds",
            "Time from a request to the end of its answer",
            buckets=_SECONDS,
            registry=registry,
        )
        running = Gauge("vitrine_running", "Answers that are computed now", registry=registry)
        running.set_function(lambda: load()[0])
        waiting = Gauge("vitrine_waiting", "Answers that wait for a slot", registry=registry)
        waiting.set_function(lambda: load()[1])

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
