"""What a handler may say of one message of its batch; anything else that it raises is a bug and travels up.

Outcome
├── Reject   never again: dead letter with this reason
└── Retry    may heal: set aside for a while, the rest of the batch goes on
"""

from datetime import timedelta


class Outcome(Exception):
    """`of` is the item (event or delivery) that it speaks of."""

    def __init__(self, reason: str, *, of: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.of = of


class Reject(Outcome):
    """Never retried."""


class Retry(Outcome):
    """Tried again after a while. Long waits belong into the service's own table."""

    def __init__(self, reason: str, *, after: timedelta, of: object) -> None:
        super().__init__(reason, of=of)
        self.after = after
