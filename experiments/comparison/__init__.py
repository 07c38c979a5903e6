"""Contenders side by side: their table, what is said of it in words and figures, and what each party adds."""
