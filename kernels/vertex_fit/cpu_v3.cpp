// The vertex fit with the instructions of x86-64-v3; setup.py compiles this file for them.
#include "../common.h"

#if ENGINE_HAS_CLONES
#include "tile.h"

namespace engine {
const VertexFitKind vertex_fit_v3[6] = {kind<float, 32, Diagonal, false>(), kind<float, 32, Full, false>(), kind<float, 32, Diagonal, true>(),
                                       kind<double, 32, Diagonal, false>(), kind<double, 32, Full, false>(), kind<double, 32, Diagonal, true>()};
}
#endif
