// One row of a batch by itself: what a block of threads does on CUDA. It compiles for the processor too, where tests run it.
#pragma once

#include "../sanitize/element.h"
#include "gather.h"

namespace engine {

struct Objects {
    int64_t first, count;  // count -1: the index or its offsets are out of range
};

ENGINE_INLINE Objects find_objects(const EngineSegment *segments, int64_t segment_count, int32_t segment, int64_t row, int64_t keep, bool jagged) {
    if (segment < 0 || segment >= segment_count) return {0, -1};
    const EngineSegment &piece = segments[segment];
    if (row < 0 || row >= piece.rows) return {0, -1};
    if (!jagged) return {row, 1};
    const int64_t begin = piece.offsets[row], end = piece.offsets[row + 1];
    if (begin < 0 || end < begin || end > piece.objects) return {0, -1};
    return {begin, end - begin < keep ? end - begin : keep};
}

// The elements of row i that belong to `thread` of `threads`; false where the row is out of range: then it is zeros without an object.
ENGINE_INLINE bool gather_row(const EngineColumns &columns, int dtype, const EngineSegment *segments, int64_t segment_count, int32_t segment,
                              int64_t row, int64_t keep, int64_t thread, int64_t threads, float *out, uint8_t *mask) {
    const Objects objects = find_objects(segments, segment_count, segment, row, keep, mask != nullptr);
    for (int64_t e = thread; e < keep * columns.width; e += threads) {
        const int64_t object = e / columns.width, column = e % columns.width;
        float y = 0.0f;
        if (object < objects.count) {
            const int64_t at = (objects.first + object) * columns.features + columns.source[column];
            y = transform_value(columns, column, load_value(dtype, segments[segment].values, at));
        }
        out[e] = y;
    }
    if (mask != nullptr)
        for (int64_t object = thread; object < keep; object += threads) mask[object] = object < objects.count;
    return objects.count >= 0;
}

}  // namespace engine
