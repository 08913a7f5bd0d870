"""Amazon ECS and its neighbours, by EventBridge or through SNS."""

from normalizer.disposition import Disposition, Ignored
from normalizer.eventbridge import translate_event
from normalizer.sns import message_of
from shared.contracts.envelope import RawDelivery


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    message = message_of(delivery.body)
    return message if isinstance(message, Ignored) else translate_event(message)
