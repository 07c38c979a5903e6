"""Contenders side by side: their results, the comparison in words and figures, and what each party adds."""
