"""From chosen links to a lineage: tracks, divisions and gaps, and the repair of its masks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
