"""Attacks on the alignment by those who depart from the protocol."""
