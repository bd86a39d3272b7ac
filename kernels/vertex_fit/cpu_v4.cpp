// The vertex fit with the instructions of x86-64-v4; see cpu_v3.cpp. The published fit is there for comparisons: cpu.cpp takes that of v3.
#include "../common.h"

#if ENGINE_HAS_CLONES
#include "tile.h"

namespace engine {
const VertexFitKind vertex_fit_v4[6] = {kind<float, 64, Diagonal, false>(), kind<float, 64, Full, false>(), {},
                                       kind<double, 64, Diagonal, false>(), kind<double, 64, Full, false>(), {}};
}
#endif
