// gather on the processor, two phases a tile: copy the rows, then transform them while they are in the second-level cache. The rows of the next
// tile are fetched while this one is transformed, so that memory and arithmetic work at the same time and the copy meets no cache miss.
#include "gather.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace {

constexpr int64_t TILE_BYTES = 128 * 1024;  // output of a tile
constexpr int64_t TILE_ROWS = 64;
constexpr int64_t AHEAD_BYTES = 4096;       // how far the prefetch runs ahead of the copy
constexpr int64_t LINE = 64;
constexpr int64_t WIDE = 256;               // columns from which rows are transformed one by one, each fetching a row of the next tile

int64_t rows_of_tile(int64_t row_bytes) { return std::clamp<int64_t>(TILE_BYTES / std::max<int64_t>(1, row_bytes), 1, TILE_ROWS); }

int64_t rows_ahead(int64_t row_bytes) { return std::clamp<int64_t>(AHEAD_BYTES / std::max<int64_t>(1, row_bytes), 1, 16); }

// Reads into the cache without waiting; an address past the end of a mapping does no harm.
inline void prefetch(const char *from, int64_t bytes) {
    const int64_t end = std::min(bytes, 2 * AHEAD_BYTES);  // long rows are streamed well enough by the processor itself
    for (int64_t at = 0; at < end; at += LINE) __builtin_prefetch(from + at);
}

int64_t first_out_of_range(const EngineSegment *segments, int64_t segment_count, const int32_t *segment, const int64_t *row, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        if (segment[i] < 0 || segment[i] >= segment_count) return i;
        if (row[i] < 0 || row[i] >= segments[segment[i]].rows) return i;
    }
    return -1;
}

struct Span {
    const char *from;
    int64_t objects;
};

// Where the objects of each row of a tile are; the position of a row with bad offsets, or -1.
int64_t find_objects(const EngineSegment *segments, const int32_t *segment, const int64_t *row, int64_t count, int64_t keep,
                     int64_t object_bytes, Span *spans) {
    for (int64_t i = 0; i < count; ++i) __builtin_prefetch(segments[segment[i]].offsets + row[i]);
    for (int64_t i = 0; i < count; ++i) {
        const EngineSegment &piece = segments[segment[i]];
        const int64_t begin = piece.offsets[row[i]], end = piece.offsets[row[i] + 1];
        if (begin < 0 || end < begin || end > piece.objects) return i;
        spans[i] = {static_cast<const char *>(piece.values) + begin * object_bytes, std::min(end - begin, keep)};
    }
    return -1;
}

// One tile of rows of objects: copy, clear the padding, then transform what was copied while the next tile's objects arrive.
void gather_tile(const EnginePlan *plan, int dtype, const Span *spans, int64_t count, const Span *next, int64_t next_count, int64_t keep,
                 float *scratch, float *out, uint8_t *mask) {
    const int64_t width = engine_plan_width(plan), object_bytes = engine_plan_features(plan) * engine_item_size(dtype);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t real = spans[i].objects;
        float *target = out + i * keep * width;
        engine_plan_load(plan, dtype, spans[i].from, real, scratch, target);
        std::memset(target + real * width, 0, static_cast<size_t>((keep - real) * width) * sizeof(float));
        std::memset(mask + i * keep, 1, static_cast<size_t>(real));
        std::memset(mask + i * keep + real, 0, static_cast<size_t>(keep - real));
    }
    for (int64_t i = 0; i < count; ++i) {
        const Span ahead = i < next_count ? next[i] : Span{nullptr, 0};
        engine_plan_transform(plan, spans[i].objects, out + i * keep * width, ahead.from, ahead.objects * object_bytes);
    }
}

}  // namespace

extern "C" {

int64_t engine_gather_rows(const EnginePlan *plan, int dtype, const EngineSegment *segments, int64_t segment_count, const int32_t *segment,
                           const int64_t *row, int64_t count, float *out) {
    const int64_t bad = first_out_of_range(segments, segment_count, segment, row, count);
    if (bad >= 0) return bad;
    const int64_t width = engine_plan_width(plan), row_bytes = engine_plan_features(plan) * engine_item_size(dtype);
    const int64_t tile = rows_of_tile(width * static_cast<int64_t>(sizeof(float))), ahead = rows_ahead(row_bytes);
    std::vector<float> scratch(static_cast<size_t>(engine_plan_scratch(plan)));
    const bool wide = width >= WIDE;
    const auto address = [&](int64_t i) { return static_cast<const char *>(segments[segment[i]].values) + row[i] * row_bytes; };
    for (int64_t i = 0; i < std::min(ahead, count); ++i) prefetch(address(i), row_bytes);
    for (int64_t first = 0; first < count; first += tile) {
        const int64_t last = std::min(first + tile, count);
        const int64_t unfetched = !wide ? count : (first == 0 ? last : first);  // up to here no transform has fetched the rows
        for (int64_t i = first; i < last; ++i) {
            if (i + ahead < unfetched) prefetch(address(i + ahead), row_bytes);
            engine_plan_load(plan, dtype, address(i), 1, scratch.data(), out + i * width);
        }
        if (wide)
            for (int64_t i = first; i < last; ++i)
                engine_plan_transform(plan, 1, out + i * width, i + tile < count ? address(i + tile) : nullptr, row_bytes);
        else
            engine_plan_transform(plan, last - first, out + first * width, nullptr, 0);
    }
    return -1;
}

int64_t engine_gather_objects(const EnginePlan *plan, int dtype, const EngineSegment *segments, int64_t segment_count, const int32_t *segment,
                              const int64_t *row, int64_t count, int64_t keep, float *out, uint8_t *mask) {
    const int64_t bad = first_out_of_range(segments, segment_count, segment, row, count);
    if (bad >= 0) return bad;
    const int64_t width = engine_plan_width(plan), object_bytes = engine_plan_features(plan) * engine_item_size(dtype);
    const int64_t tile = rows_of_tile(keep * width * static_cast<int64_t>(sizeof(float)));
    std::vector<float> scratch(static_cast<size_t>(engine_plan_scratch(plan)));
    Span buffers[2][TILE_ROWS];
    Span *spans = buffers[0], *next = buffers[1];
    int64_t wrong = find_objects(segments, segment, row, std::min(tile, count), keep, object_bytes, spans);
    if (wrong >= 0) return wrong;
    for (int64_t i = 0; i < std::min(tile, count); ++i) prefetch(spans[i].from, spans[i].objects * object_bytes);
    for (int64_t first = 0; first < count; first += tile) {
        const int64_t rows = std::min(tile, count - first), after = first + rows, next_rows = std::min(tile, count - after);
        wrong = find_objects(segments, segment + after, row + after, next_rows, keep, object_bytes, next);
        if (wrong >= 0) return after + wrong;
        gather_tile(plan, dtype, spans, rows, next, next_rows, keep, scratch.data(), out + first * keep * width, mask + first * keep);
        std::swap(spans, next);
    }
    return -1;
}

}  // extern "C"
