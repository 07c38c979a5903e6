"""The same for boosted trees: labels from the nodes that rows fall into, and bins from the sums that the bank opens."""
