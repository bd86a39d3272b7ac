// C interface of the gather kernel: rows, chosen by (segment, row), out of prepared segments into one sanitized batch.
#pragma once

#include "../sanitize/sanitize.h"

#ifdef __cplusplus
extern "C" {
#endif

// A piece of an input in memory, often a mapped file.
struct EngineSegment {
    const void *values;      // (objects, features), one after the other
    const int64_t *offsets;  // (rows + 1): row i owns objects [offsets[i], offsets[i + 1]); null where object i is row i
    int64_t rows;
    int64_t objects;
};

// Each function returns -1, or the position of the first (segment, row) that is out of range or whose offsets are; then out is unspecified.

// Rows without offsets: out (count, width).
int64_t engine_gather_rows(const struct EnginePlan *plan, int dtype, const struct EngineSegment *segments, int64_t segment_count,
                           const int32_t *segment, const int64_t *row, int64_t count, float *out);

// Rows of objects: the first `keep` of each into out (count, keep, width), zeros behind them; mask (count, keep) is 1 for an object.
int64_t engine_gather_objects(const struct EnginePlan *plan, int dtype, const struct EngineSegment *segments, int64_t segment_count,
                              const int32_t *segment, const int64_t *row, int64_t count, int64_t keep, float *out, uint8_t *mask);

#ifdef ENGINE_HAS_CUDA
// The same on the device; every pointer, also those inside columns and segments, is device memory. `bad` holds the smallest position of an
// index out of range (set it to INT64_MAX before). mask null: rows without offsets, keep 1. Returns 0 or a cudaError_t.
int engine_gather_cuda(struct EngineColumns columns, int dtype, const struct EngineSegment *segments, int64_t segment_count,
                       const int32_t *segment, const int64_t *row, int64_t count, int64_t keep, float *out, uint8_t *mask, int64_t *bad,
                       void *stream);
#endif

#ifdef __cplusplus
}
#endif
