"""Attacks on what several banks train together: by the coordinator that adds, and by one of the banks on the others."""
