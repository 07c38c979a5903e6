"""Errors that may be told to everybody in a federation.

A party's own `DataError` can quote its records and therefore never leaves it; what stands here is about the
conversation only and is safe to send across a border.
"""


class ProtocolError(ValueError):
    """A message or a federation does not fit the protocol; the text names what and where, never a record."""


class ConfigError(ValueError):
    """A setting is unknown or out of range; the text names the setting, what is allowed and the nearest name."""
