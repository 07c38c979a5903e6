"""The bank's service for its loan system: it answers applicants at once, and queues them for the federated model.

`app.py` is the HTTP service, `scorer.py` the reserve model that answers at once, and `queue.py` the file in which
applicants wait until a scoring run takes them (`clients/scoring.py`). `keys.py` says who may ask.
"""
