"""Attacks on a split network: labels from the gradients that the bank sends, and columns from the embeddings."""
