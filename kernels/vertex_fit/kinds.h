// The compiled fits by instruction set: every level is one translation unit, which includes run.h under its own target.
#pragma once

#include "cpu.h"

namespace engine {

// One precision and kind of problem. `memory` holds (most + lanes) * bytes, aligned to 64; most: the longest list of tracks.
struct VertexFitKind {
    void (*forward)(const EngineVertexInputs&, const EngineVertexOutputs&, int64_t first, int64_t last, void* memory, int64_t most);
    void (*backward)(const EngineVertexInputs&, const EngineVertexOutputs&, const EngineVertexCotangents&, const EngineVertexGradients&, int64_t first,
                     int64_t last, void* memory, int64_t most);
    void (*weights_backward)(const EngineVertexInputs&, const void* response, const void* vertex, const void* chi2, void* weights, int64_t first, int64_t last);
    int64_t bytes, lanes;
};

// float: variances, matrices, as published; then double.
extern const VertexFitKind vertex_fit_baseline[6], vertex_fit_v3[6], vertex_fit_v4[6];

}  // namespace engine
