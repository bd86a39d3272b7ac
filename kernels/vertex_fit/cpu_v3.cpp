// The vertex fit with the instructions of x86-64-v3; setup.py compiles this file for them.
#include "../common.h"

#if ENGINE_HAS_CLONES
#include "kinds.h"

const engine::VertexFitKind engine::vertex_fit_v3[6] = ENGINE_VERTEX_FIT_KINDS(32);
#endif
