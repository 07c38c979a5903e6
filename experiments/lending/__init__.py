"""What a score would change for a lender: a policy, its decisions, and the report on them."""
