"""What things cost, measured: run them by `python -m experiments.benchmarks.<name>`."""
