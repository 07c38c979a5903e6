"""From a party's folder to a checked table: its declaration, files and values, and the contract of a party type."""
