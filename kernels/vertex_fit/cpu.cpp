// Vertex fit on the processor: chooses the instructions, shares the jets out among threads and gives each its memory.
#include <algorithm>
#include <atomic>
#include <new>

#include "../levels.h"
#include "../team.h"
#include "kinds.h"

namespace engine {

const VertexFitKind vertex_fit_baseline[6] = ENGINE_VERTEX_FIT_KINDS(16);

namespace {

std::atomic<int> level{running_level()};

const VertexFitKind& kind_of(const EngineVertexInputs& in, int double_precision) {
#if ENGINE_HAS_CLONES
    const VertexFitKind* const levels[] = {vertex_fit_baseline, vertex_fit_v3, vertex_fit_v4};
#else
    const VertexFitKind* const levels[] = {vertex_fit_baseline};
#endif
    return levels[level][(double_precision ? 3 : 0) + (in.ndive ? 2 : in.full_covariance ? 1 : 0)];
}

int64_t parts_of(const EngineVertexInputs& in, intptr_t threads) { return std::max<int64_t>(1, std::min<int64_t>(threads, in.jets / 128)); }

// work(first, last, memory, most) of the problems, with the memory for the longest list of tracks. Whole jets, so that no two threads add to
// the same track. All memory is taken here: in a new thread it would come as fresh pages every time.
template <class F> const char* in_tiles(const EngineVertexInputs& in, const VertexFitKind& kind, int double_precision, intptr_t threads, F work) {
    int64_t most = in.padded;
    for (int64_t jet = 0; in.offsets && jet < in.jets; ++jet) most = std::max(most, in.offsets[jet + 1] - in.offsets[jet]);
    const int64_t parts = parts_of(in, threads), each = (most + kind.lanes) * kind.bytes;
    const std::align_val_t pack{64};
    char* memory = static_cast<char*>(::operator new(parts * each, pack, std::nothrow));
    if (!memory) return "the vertex fit ran out of memory";
    share_out(in.jets, parts, [&](int64_t part, int64_t first, int64_t last) {
        const FlushToZero flush(!double_precision);
        work(first * in.vertices, last * in.vertices, memory + part * each, most);
    });
    ::operator delete(memory, pack);
    return nullptr;
}

#define ENGINE_INSTANCE(S)                                                                                                                         \
    ENGINE_CLONES void weights_backward_##S(const EngineVertexInputs& in, const void* response, const EngineVertexCotangents& ct, void* weights, \
                                            int64_t first, int64_t last) {                                                                         \
        weights_backward<S>(in, response, ct, weights, first, last);                                                                               \
    }
ENGINE_INSTANCE(double)
ENGINE_INSTANCE(float)

}  // namespace
}  // namespace engine

const char* engine_vertex_fit(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, intptr_t where) {
    const engine::VertexFitKind& kind = engine::kind_of(*in, double_precision);
    return engine::in_tiles(*in, kind, double_precision, where, [&](int64_t first, int64_t last, void* memory, int64_t most) {
        kind.forward(*in, *out, first, last, memory, most);
    });
}

const char* engine_vertex_fit_backward(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                                       const EngineVertexGradients* out, int double_precision, intptr_t where) {
    const engine::VertexFitKind& kind = engine::kind_of(*in, double_precision);
    return engine::in_tiles(*in, kind, double_precision, where, [&](int64_t first, int64_t last, void* memory, int64_t most) {
        kind.backward(*in, *solution, *cotangents, *out, first, last, memory, most);
    });
}

const char* engine_vertex_fit_weights_backward(const EngineVertexInputs* in, const void* response, const EngineVertexCotangents* cotangents, void* weights,
                                               int double_precision, intptr_t where) {
    const auto work = double_precision ? engine::weights_backward_double : engine::weights_backward_float;
    engine::share_out(in->jets, engine::parts_of(*in, where), [&](int64_t, int64_t first, int64_t last) {
        work(*in, response, *cotangents, weights, first * in->vertices, last * in->vertices);
    });
    return nullptr;
}

int engine_vertex_fit_level(int highest) {
    engine::level = std::min(highest < 0 ? 2 : highest, engine::running_level());
    return engine::level;
}
