"""What runs at the coordinator: the Flower ServerApp, each protocol's coordinator half, and tracking."""

import os

from server.tracking.leaderboard import ENVIRONMENT

# MLflow reads these when it is imported, hence before any module of this package; what the user has set holds.
os.environ.update(ENVIRONMENT | dict(os.environ))
