"""The frozen benchmark: datasets, test rows and figures that do not change, for models of every framework."""
