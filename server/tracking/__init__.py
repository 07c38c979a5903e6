"""A study in MLflow; only this package talks to it."""
