"""Settings of a run: of training and of scoring (`run`), and a section for each protocol that trains models."""
