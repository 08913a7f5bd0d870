"""What other tools would answer for the same events (`definition=`), for whoever compares while moving. Pure.

A metric that a tool doesn't have is absent: neither has deployment rework rate.
"""

from collections.abc import Callable, Mapping

from metrics_svc.definitions import devlake2023, middleware
from metrics_svc.definitions.history import History
from metrics_svc.dora import Metric
from metrics_svc.window import Window

FOREIGN: Mapping[str, Callable[[History, Window], dict[str, Metric]]] = {
    devlake2023.DEFINITION: devlake2023.measure,
    middleware.DEFINITION: middleware.measure,
}
