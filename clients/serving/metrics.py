"""Counters of the service in Prometheus' text format (version 0.0.4)."""

import threading
from collections import Counter
from itertools import accumulate

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds."""


class Metrics:
    """What the service has counted since it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, str, int]] = Counter()
        self._within, self._seconds = [0] * (len(_BOUNDS) + 1), 0.0
        self._answered = 0

    def answer(self, applicants: int) -> None:
        """Count applicants that were answered by the reserve model."""
        with self._lock:
            self._answered += applicants

    def count(self, client: str, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request; path is that of its route, so that no id is in it."""
        with self._lock:
            self._requests[client, method, path, status] += 1
            self._within[sum(seconds > bound for bound in _BOUNDS)] += 1
            self._seconds += seconds

    def text(self, waiting: int, federated: int) -> str:
        """All of them, with how many applicants wait and to how many the federated model has answered."""
        with self._lock:
            requests, within = dict(self._requests), list(accumulate(self._within))
        lines = ["# TYPE siloscore_requests_total counter"]
        lines += [
            f'siloscore_requests_total{{client="{client}",method="{method}",path="{path}",status="{status}"}} {count}'
            for (client, method, path, status), count in sorted(requests.items())
        ]
        lines += ["# TYPE siloscore_request_seconds histogram"]
        lines += [
            f'siloscore_request_seconds_bucket{{le="{bound}"}} {count}'
            for bound, count in zip((*_BOUNDS, "+Inf"), within, strict=True)
        ]
        lines += [
            f"siloscore_request_seconds_sum {self._seconds}",
            f"siloscore_request_seconds_count {within[-1]}",
            "# TYPE siloscore_applicants_answered_by_reserve_total counter",
            f"siloscore_applicants_answered_by_reserve_total {self._answered}",
            "# TYPE siloscore_applicants_answered_by_federated_total counter",
            f"siloscore_applicants_answered_by_federated_total {federated}",
            "# TYPE siloscore_applicants_waiting gauge",
            f"siloscore_applicants_waiting {waiting}",
        ]
        return "\n".join(lines) + "\n"
