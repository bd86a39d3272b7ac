"""A plug-in of pytest: the compiled vertex fit and extrapolation are the CUDA ones, which run on the processor."""

from __future__ import annotations

import cuda_on_host
from engine_kernels import backends

for _name in dir(cuda_on_host):
    if _name.startswith(("vertex_fit", "extrapolate")):
        setattr(backends.native_module(), _name, getattr(cuda_on_host, _name))
