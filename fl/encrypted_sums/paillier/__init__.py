"""Encrypted sums by Paillier's scheme (Eurocrypt 1999), which FATE's SecureBoost uses: for comparison with `lattice`.

A row's numbers are packed into one plaintext and encrypted on their own (`keys`), so a tree's rows cross once; a
bin's sum is a product of ciphertexts, and many sums are squeezed into one reply (`squeeze`). The two halves of the
engine are `owner` and `responder`. Long numbers are gmpy2's (GMP, LGPL-3.0-or-later, loaded as a library of its own).
"""

from fl.encrypted_sums.paillier.owner import PaillierOwner
from fl.encrypted_sums.paillier.responder import PaillierResponder

__all__ = ["PaillierOwner", "PaillierResponder"]
