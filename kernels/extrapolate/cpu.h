// C interface of the extrapolation; the CUDA kernel has the same arguments and a stream. Track i of jet b is row start(b) + i with
// start(b) = offsets[b], or b * padded where offsets is null; points are (jets, 3). A masked track is not read and gives zeros.
#pragma once

#include <cstdint>

extern "C" {

struct EngineExtrapolateInputs {
    int64_t jets, padded;
    const int64_t* offsets;
    const void *tracks, *points;
    const uint8_t* mask;
};

void engine_extrapolate(const EngineExtrapolateInputs* in, void* out, int double_precision);
// cotangent: that of `out`. Gradients of the tracks are written, those of the points too (the sum over a jet's tracks, in order).
void engine_extrapolate_backward(const EngineExtrapolateInputs* in, const void* cotangent, void* tracks, void* points, int double_precision);

// Null, or what went wrong.
const char* engine_extrapolate_cuda(const EngineExtrapolateInputs* in, void* out, int double_precision, void* stream);
const char* engine_extrapolate_backward_cuda(const EngineExtrapolateInputs* in, const void* cotangent, void* tracks, void* points, int double_precision,
                                             void* stream);
}
