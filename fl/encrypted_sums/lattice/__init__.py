"""Encrypted sums on a lattice: SEAL's BFV (Fan and Vercauteren 2012), each histogram one polynomial product.

`layout` says where rows and histograms lie in polynomials, `seal` speaks to the library, `control` guards the
replies; the two halves of the engine are `owner` and `responder`. The scheme is SEAL's own; the encoding is ours, and
so are a reply's encryptions of zero, which are put together from SEAL's products (`control`).
"""

from fl.encrypted_sums.lattice.owner import LatticeOwner
from fl.encrypted_sums.lattice.responder import LatticeResponder

__all__ = ["LatticeOwner", "LatticeResponder"]
