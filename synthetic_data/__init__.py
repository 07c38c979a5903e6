"""An economy of small businesses, and the records that each party would keep of it."""

from synthetic_data.banks import Banks
from synthetic_data.dataset import PARTIES, STANDARD, generate
from synthetic_data.worlds import WORLDS, World, world_named

__all__ = ["PARTIES", "STANDARD", "WORLDS", "Banks", "World", "generate", "world_named"]
