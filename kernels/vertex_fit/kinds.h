// The compiled fits by instruction set: every level is one translation unit, which includes this file under its own target.
#pragma once

#include "tile.h"

namespace engine {

template <class T, class C, bool Ndive>
void forward_tiles(const EngineVertexInputs& in, const EngineVertexOutputs& out, int64_t first, int64_t last, void* memory, int64_t most) {
    Tile<T, C> tile(in, memory, most, out.momenta, out.response);
    for (; first < last; first += tile.lanes) tile.take(first, last), forward<Ndive, T>(tile, in, out);
}

template <class T, class C, bool Ndive>
void backward_tiles(const EngineVertexInputs& in, const EngineVertexOutputs& solution, const EngineVertexCotangents& ct, const EngineVertexGradients& out,
                    int64_t first, int64_t last, void* memory, int64_t most) {
    Tile<T, C> tile(in, memory, most);
    for (; first < last; first += tile.lanes) {
        tile.take(first, last);
        tile.take_solution(solution.momenta, ct.momenta);
        backward<Ndive, T, C>(tile, in, solution, ct, out);
    }
}

struct VertexFitKind {
    void (*forward)(const EngineVertexInputs&, const EngineVertexOutputs&, int64_t first, int64_t last, void* memory, int64_t most);
    void (*backward)(const EngineVertexInputs&, const EngineVertexOutputs&, const EngineVertexCotangents&, const EngineVertexGradients&, int64_t first,
                     int64_t last, void* memory, int64_t most);
    int64_t bytes, lanes;
};
template <class S, int Bytes, template <class> class C, bool Ndive> constexpr VertexFitKind kind() {
    using T = Lanes<S, Bytes, true>;
    return {&forward_tiles<T, C<T>, Ndive>, &backward_tiles<T, C<T>, Ndive>, Tile<T, C<T>>::bytes, Tile<T, C<T>>::lanes};
}
// Of a level: float with variances, with matrices, as published; then double.
#define ENGINE_VERTEX_FIT_KINDS(bytes)                                                                          \
    {kind<float, bytes, Diagonal, false>(),  kind<float, bytes, Full, false>(),  kind<float, bytes, Diagonal, true>(), \
     kind<double, bytes, Diagonal, false>(), kind<double, bytes, Full, false>(), kind<double, bytes, Diagonal, true>()}
extern const VertexFitKind vertex_fit_baseline[6], vertex_fit_v3[6], vertex_fit_v4[6];

}  // namespace engine
