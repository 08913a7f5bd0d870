"""The sources that normalizer can translate: every module in `normalizer.sources`, by its name."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache

from normalizer import sources
from normalizer.disposition import Disposition, Untranslatable
from shared.contracts.envelope import RawDelivery

Translate = Callable[[RawDelivery], Disposition]


def translate(delivery: RawDelivery) -> Disposition:
    """Pure. Raises Untranslatable, also for a source that has no translation here."""
    try:
        translation = translations()[delivery.source]
    except KeyError:
        raise Untranslatable(f"no translation for source {delivery.source}") from None
    return translation(delivery)


@cache
def translations() -> dict[str, Translate]:
    return {
        module.name: importlib.import_module(f"{sources.__name__}.{module.name}").translate
        for module in pkgutil.iter_modules(sources.__path__)
    }
