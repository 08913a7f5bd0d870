"""Deliveries on ingest's own disk while the broker does not acknowledge."""

from ingest.spool.drain import Drain
from ingest.spool.spool import Spool, SpoolBroken, SpoolFull, SpoolUnusable

__all__ = ["Drain", "Spool", "SpoolBroken", "SpoolFull", "SpoolUnusable"]
