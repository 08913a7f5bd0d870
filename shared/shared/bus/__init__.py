"""The only place that knows JetStream: connection, publisher, consumer loop, relay, provisioning."""

from shared.bus.connection import Bus, open_bus
from shared.bus.consumer import Consumer
from shared.bus.handling import HandlerTable
from shared.bus.outcomes import Reject, Retry
from shared.bus.publisher import PublishError, PublishUnknown
from shared.bus.relay import Relay

__all__ = ["Bus", "Consumer", "HandlerTable", "PublishError", "PublishUnknown", "Reject", "Relay", "Retry", "open_bus"]
