"""Models that only an experiment can train: on the joined table, which no party of a federation ever sees."""
