"""What runs inside a party: the Flower ClientApp, the party types and each protocol's party half."""
