"""What a conversation takes: the unit of cost is a round trip."""

from collections.abc import Mapping
from dataclasses import dataclass, field

COORDINATOR = "coordinator"
"""The name of the coordinator's own work beside those of actions."""


@dataclass(frozen=True)
class Costs:
    """What a conversation took.

    bytes_up are payload to the coordinator, bytes_down from it. cpu_by_action has CPU seconds: by action what the
    parties report for their answers, and under `coordinator` its own outside Flower's grid.
    """

    round_trips: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    cpu_by_action: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float:
        """All of them."""
        return sum(self.cpu_by_action.values())

    def since(self, earlier: "Costs") -> "Costs":
        """The costs that came after `earlier`."""
        spent = {
            action: cpu - earlier.cpu_by_action.get(action, 0.0) for action, cpu in self.cpu_by_action.items()
        }
        return Costs(
            self.round_trips - earlier.round_trips,
            self.bytes_up - earlier.bytes_up,
            self.bytes_down - earlier.bytes_down,
            {action: cpu for action, cpu in spent.items() if cpu > 0},
        )

    def to_mapping(self) -> dict[str, float]:
        """As flat figures: `round_trips`, `bytes_up`, `bytes_down`, `cpu_seconds`, and `cpu_seconds.<action>`."""
        return {
            "round_trips": self.round_trips,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "cpu_seconds": self.cpu_seconds,
            **{f"cpu_seconds.{action}": cpu for action, cpu in self.cpu_by_action.items()},
        }
