"""Words of SPIFFE bundle documents (SPIFFE Trust Domain and Bundle, section 4; X509-SVID, section 6; JWT-SVID)."""

from __future__ import annotations

from typing import Final

X509_USE: Final = "x509-svid"
"""Use of a key that signs X.509-SVIDs; values are case-sensitive (section 4.2.2)."""
JWT_USE: Final = "jwt-svid"
"""Use of a key that signs JWT-SVIDs."""
SEQUENCE: Final = "spiffe_sequence"
REFRESH_HINT: Final = "spiffe_refresh_hint"
KID_CHARACTERS: Final = 16
"""Length of the key ids of tokens here."""
