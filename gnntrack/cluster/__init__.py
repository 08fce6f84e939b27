"""Long work as a job: stages of tasks that write into a work folder, run here, in processes, on Dask, or by shards."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
