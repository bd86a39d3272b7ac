"""A plug-in of pytest: the compiled vertex fit and extrapolation are the CUDA ones, which run on the processor."""

from __future__ import annotations

import cuda_on_host
from engine_kernels import backends
from engine_kernels.vertex_fit import ops

for _name in ("vertex_fit", "vertex_fit_backward", "extrapolate", "extrapolate_backward"):
    setattr(backends.native_module(), _name, getattr(cuda_on_host, _name))

# The CUDA kernel leaves no response to the weights behind.
ops.responds = lambda *_: False
