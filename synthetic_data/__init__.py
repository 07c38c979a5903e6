"""An economy of small businesses, and the records that each party would keep of it."""
