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

// Null, or what went wrong. double_precision: the type behind every void pointer; where: the number of threads, or the stream (a
// cudaStream_t) of a CUDA device. The third is the gradient of the weights from the response and the cotangents of vertex and chi2 (each may
// be null); of its inputs the shape and the offsets are read.
#define ENGINE_VERTEX_FIT(suffix)                                                                                                                      \
    const char* engine_vertex_fit##suffix(const EngineVertexInputs* in, const EngineVertexOutputs* out, int double_precision, intptr_t where);         \
    const char* engine_vertex_fit_backward##suffix(const EngineVertexInputs* in, const EngineVertexOutputs* solution,                                  \
                                                   const EngineVertexCotangents* cotangents, const EngineVertexGradients* out, int double_precision,   \
                                                   intptr_t where);                                                                                    \
    const char* engine_vertex_fit_weights_backward##suffix(const EngineVertexInputs* in, const void* response, const EngineVertexCotangents* cotangents, \
                                                           void* weights, int double_precision, intptr_t where);
ENGINE_VERTEX_FIT()
ENGINE_VERTEX_FIT(_cuda)

// Limit the instructions to a level (0 baseline, 1 x86-64-v3, 2 x86-64-v4; -1: what the processor has); returns the level in use. For tests.
int engine_vertex_fit_level(int highest);
}
#pragma GCC visibility pop
