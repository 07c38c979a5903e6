"""Attacks on the scorecard: labels from the sums that the bank opens, and groups from the partial scores."""
