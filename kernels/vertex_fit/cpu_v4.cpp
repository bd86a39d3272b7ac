// The vertex fit with the instructions of x86-64-v4; see cpu_v3.cpp.
#include "../common.h"

#if ENGINE_HAS_CLONES
#include "kinds.h"

const engine::VertexFitKind engine::vertex_fit_v4[6] = ENGINE_VERTEX_FIT_KINDS(64);
#endif
