"""Where a federation runs: all in one process (`inline`), or in Flower's Simulation Engine (`simulation`)."""
