"""Names of studies: one study of several banks has a sub-study for each of them.

In its sub-study a bank is the only label holder, and everything goes on as in a federation of that bank and the passive
parties. The whole study has what the banks do together. Both are ordinary studies at a party.
"""

_SEPARATOR = "--"


def sub_study(study: str, bank: str) -> str:
    """The name of a bank's sub-study.

    >>> sub_study("demo-1", "bank_a")
    'demo-1--bank_a'
    """
    return f"{study}{_SEPARATOR}{bank}"


def whole_study(study: str) -> str:
    """The name of the whole study that a study is a sub-study of; its own name if it is none.

    >>> whole_study("demo-1--bank_a"), whole_study("demo-1")
    ('demo-1', 'demo-1')
    """
    return study.partition(_SEPARATOR)[0]
