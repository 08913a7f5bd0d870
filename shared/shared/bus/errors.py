"""Why a message is not known to be stored.

PublishError
├── PublishUnknown    no answer: it may be stored or not; repeat under the same id
├── PublishRefused    the broker said no (stream full, no stream): nothing is stored, a repeat may be
└── PublishRejected   this message will never be taken
    └── FrameTooLarge
"""


class PublishError(Exception):
    """A message is not known to be stored."""


class PublishUnknown(PublishError): ...


class PublishRefused(PublishError): ...


class PublishRejected(PublishError): ...


class FrameTooLarge(PublishRejected):
    """Body and headers exceed what the server takes; sending it would close the connection for good."""
