"""What banks that hold the same columns about different businesses learn together, over sums alone."""
