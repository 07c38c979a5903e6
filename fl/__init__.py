"""The mathematics of the protocols, on arrays, and the messages that they exchange; nothing of parties or studies."""
