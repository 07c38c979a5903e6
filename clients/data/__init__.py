"""From a party's folder to a checked table: declaration, files, values, and the contract of a party type."""
