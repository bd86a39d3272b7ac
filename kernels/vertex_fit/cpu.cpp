// Vertex fit on the processor: chooses the instructions, gives every thread a contiguous range of jets and its memory.
#include "cpu.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "../levels.h"
#include "run.h"

namespace engine {

const VertexFitKind vertex_fit_baseline[6] = {kind<float, 16, Diagonal, false>(), kind<float, 16, Full, false>(), kind<float, 16, Diagonal, true>(),
                                              kind<double, 16, Diagonal, false>(), kind<double, 16, Full, false>(), kind<double, 16, Diagonal, true>()};

namespace {

std::atomic<int> level{running_level()};

const VertexFitKind& kind_of(const EngineVertexInputs& in, int double_precision) {
    const int kind = (double_precision ? 3 : 0) + (in.ndive ? 2 : in.full_covariance ? 1 : 0), highest = level;
#if ENGINE_HAS_CLONES
    if (highest == 2 && !in.ndive) return vertex_fit_v4[kind];
    if (highest >= 1) return vertex_fit_v3[kind];
#endif
    return (void)highest, vertex_fit_baseline[kind];
}

// While it lives, results too small for a normal number are zero. In float32 the products of small variances are, and every one of them
// would cost a hundred cycles.
struct FlushToZero {
#ifdef __SSE__
    unsigned before = __builtin_ia32_stmxcsr();
    explicit FlushToZero(bool wanted) {
        if (wanted) __builtin_ia32_ldmxcsr(before | 0x8000);
    }
    ~FlushToZero() { __builtin_ia32_ldmxcsr(before); }
    FlushToZero(const FlushToZero&) = delete;
    FlushToZero& operator=(const FlushToZero&) = delete;
#else
    explicit FlushToZero(bool) {}
#endif
};

// Whole jets a thread, so that no two threads add to the same track. work(first, last) of the jets: false where memory ran out.
template <class F> int in_threads(int64_t jets, int threads, F work) {
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threads, jets / 32));
    std::atomic<int> failed{0};
    auto guarded = [&](int64_t part) {
        if (!work(jets * part / parts, jets * (part + 1) / parts)) failed = 1;
    };
    std::vector<std::thread> others;
    try {
        for (int64_t part = 1; part < parts; ++part) others.emplace_back(guarded, part);
    } catch (...) {
        failed = 1;
    }
    guarded(0);
    for (std::thread& other : others) other.join();
    return failed;
}

// work(first, last, memory, most) of the problems, with the memory for the longest list of tracks among them.
template <class F> int in_tiles(const EngineVertexInputs& in, const VertexFitKind& kind, int double_precision, int threads, F work) {
    return in_threads(in.jets, threads, [&](int64_t first, int64_t last) {
        int64_t most = in.padded;
        for (int64_t jet = first; in.offsets && jet < last; ++jet) most = std::max(most, in.offsets[jet + 1] - in.offsets[jet]);
        void* memory = ::operator new((most + kind.lanes) * kind.bytes, std::align_val_t(64), std::nothrow);
        if (!memory) return false;
        const FlushToZero flush(!double_precision);
        work(first * in.vertices, last * in.vertices, memory, most);
        ::operator delete(memory, std::align_val_t(64));
        return true;
    });
}

}  // namespace
}  // namespace engine

int engine_vertex_fit(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, int threads) {
    const engine::VertexFitKind& kind = engine::kind_of(*in, double_precision);
    return engine::in_tiles(*in, kind, double_precision, threads, [&](int64_t first, int64_t last, void* memory, int64_t most) { kind.forward(*in, *out, first, last, memory, most); });
}

int engine_vertex_fit_backward(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                               const EngineVertexGradients* out, int double_precision, int threads) {
    const engine::VertexFitKind& kind = engine::kind_of(*in, double_precision);
    return engine::in_tiles(*in, kind, double_precision, threads, [&](int64_t first, int64_t last, void* memory, int64_t most) {
        kind.backward(*in, *solution, *cotangents, *out, first, last, memory, most);
    });
}

int engine_vertex_fit_weights_backward(const EngineVertexInputs* in, const void* response, const void* ct_vertex, const void* ct_chi2, void* weights,
                                       int double_precision, int threads) {
    const engine::VertexFitKind& kind = engine::kind_of(*in, double_precision);
    return engine::in_threads(in->jets, threads, [&](int64_t first, int64_t last) {
        kind.weights_backward(*in, response, ct_vertex, ct_chi2, weights, first * in->vertices, last * in->vertices);
        return true;
    });
}

int engine_vertex_fit_level(int highest) {
    engine::level = std::min(highest < 0 ? 2 : highest, engine::running_level());
    return engine::level;
}
