"""What a study will take, before anything is trained: round trips, megabytes, CPU seconds and minutes (`forecast`).

Round trips, bytes and the numbers of encryptions, products and replies come from the protocols' own formulas
(`formulas`, `steps`). What these take on this machine is measured (`calibration`): an engine's steps on a small
request, a message by its bytes, and each model for a few rounds on made tables without encryption. `kept` compares it
all with what a study took.
"""
