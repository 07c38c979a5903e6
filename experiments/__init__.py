"""Command line, studies, baselines, attacks and benchmarks: who is compared with whom."""
