// C interface of the vertex fit on the processor; the CUDA kernel has the same arguments and a stream.
//
// Tracks lie one after another: track i of jet b is row start(b) + i, start(b) = offsets[b], or b * padded where offsets is null.
// Weights and momenta of vertex k of jet b begin at start(b) * jet_stride + k * vertex_stride (in tracks):
// (jets, vertices, padded): jet_stride = vertices, vertex_stride = padded; (vertices, tracks): 1 and the number of tracks.
// Everything else is (jets, vertices, ...) contiguous. Matrices are full and row-major, their antisymmetric part is ignored.
#pragma once

#include <cstdint>

#pragma GCC visibility push(default)
extern "C" {

struct EngineVertexInputs {
    int64_t jets, vertices, padded, jet_stride, vertex_stride;
    const int64_t* offsets;
    const void *tracks, *covariance, *weights;
    const uint8_t* mask;
    const void *prior_position, *prior_information, *seed;
    double tolerance;
    int32_t full_covariance, ndive, max_iterations, sandwich;
};

struct EngineVertexOutputs {
    void *vertex, *covariance, *chi2, *momenta;
    int32_t* status;
    void* response;  // null where nobody asks: derivatives of x, y, z and chi2 with respect to each weight, laid out as the momenta
};

struct EngineVertexCotangents {
    const void *vertex, *covariance, *chi2, *momenta;  // each may be null
};

// Null where the gradient is not wanted; tracks, covariance are added to and must hold zeros, the others are written.
struct EngineVertexGradients {
    void *tracks, *covariance, *weights, *prior_position, *prior_information;
};

// Returns 0, or 1 where memory ran out. double_precision: the type behind every void pointer.
int engine_vertex_fit(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, int threads);
int engine_vertex_fit_backward(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                               const EngineVertexGradients* out, int double_precision, int threads);
// The gradient of the weights, from the response and the cotangents of vertex and chi2 (each may be null).
int engine_vertex_fit_weights_backward(const EngineVertexInputs* in, const void* response, const void* ct_vertex, const void* ct_chi2, void* weights,
                                        int double_precision, int threads);
// On a CUDA device, on a stream (a cudaStream_t): null, or what went wrong.
const char* engine_vertex_fit_cuda(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, void* stream);
const char* engine_vertex_fit_backward_cuda(const EngineVertexInputs* in, const EngineVertexOutputs* solution, const EngineVertexCotangents* cotangents,
                                            const EngineVertexGradients* out, int double_precision, void* stream);

// Limit the instructions to a level (0 baseline, 1 x86-64-v3, 2 x86-64-v4; -1: what the processor has); returns the level in use. For tests.
int engine_vertex_fit_level(int highest);
}
#pragma GCC visibility pop
