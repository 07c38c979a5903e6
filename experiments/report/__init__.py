"""What federation changes for a lender: the decisions of two models under one policy, beside published claims."""
