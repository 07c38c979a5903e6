"""What runs at the coordinator: the Flower ServerApp, each protocol's coordinator half, and tracking."""
