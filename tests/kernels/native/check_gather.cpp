// gather and sanitize at the edges of their arrays, for a build with the address and undefined-behaviour sanitizers: heap arrays of exactly the
// size that the interface asks for, so that a byte read or written outside of them ends the program.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include "gather/gather.h"
#include "gather/row.h"

namespace {

int failures = 0;

void check(bool true_claim, const char *claim) {
    if (!true_claim) {
        std::fprintf(stderr, "wrong: %s\n", claim);
        ++failures;
    }
}

struct Columns {
    std::vector<int32_t> source;
    std::vector<uint8_t> absolute, log1p, one_hot;
    std::vector<float> low, high, scale, offset, fill, value;

    Columns(int64_t features, int logs_every, bool with_one_hot) {
        for (int32_t feature = 0; feature < features; ++feature)
            for (int copy = 0; copy < (with_one_hot && feature % 3 == 1 ? 3 : 1); ++copy) {
                source.push_back(feature);
                absolute.push_back(feature % 2 == 0);
                log1p.push_back(logs_every > 0 && feature % logs_every == 0);
                one_hot.push_back(with_one_hot && feature % 3 == 1);
                low.push_back(-2.0f);
                high.push_back(std::numeric_limits<float>::infinity());
                scale.push_back(1e30f);
                offset.push_back(0.5f);
                fill.push_back(-1.0f);
                value.push_back(static_cast<float>(copy));
            }
    }

    EngineColumns view(int64_t features) const {
        return {features,   static_cast<int64_t>(source.size()), source.data(), absolute.data(), log1p.data(), one_hot.data(),
                low.data(), high.data(), scale.data(), offset.data(), fill.data(), value.data()};
    }
};

std::vector<float> hostile(std::mt19937 &random, int64_t count) {
    const float special[] = {NAN, INFINITY, -INFINITY, -1.0f, 0.0f, 3e38f, -3e38f, 1e-45f, 1.0f, 2.0f};
    std::vector<float> values(static_cast<size_t>(count));
    for (float &value : values) value = special[random() % 10];
    return values;
}

bool all_finite(const std::vector<float> &values) {
    for (float value : values)
        if (!std::isfinite(value)) return false;
    return true;
}

bool close(const std::vector<float> &a, const std::vector<float> &b) {
    for (size_t i = 0; i < a.size(); ++i)
        if (!(std::fabs(a[i] - b[i]) <= 1e-6f * std::fabs(b[i]))) return false;
    return true;
}

// The body of the CUDA kernels, thread by thread, against what the processor's kernel made.
void check_device_bodies(const EngineColumns &columns, const EngineSegment *segments, int64_t segment_count, const std::vector<int32_t> &segment,
                         const std::vector<int64_t> &row, int64_t keep, const std::vector<float> &expected, const std::vector<uint8_t> *mask) {
    std::vector<float> out(expected.size(), 7.0f);
    std::vector<uint8_t> flags(mask == nullptr ? 0 : mask->size(), 7);
    bool found = true;
    for (size_t i = 0; i < row.size(); ++i)
        for (int64_t thread = 0; thread < 128; ++thread)
            found &= engine::gather_row(columns, ENGINE_FLOAT32, segments, segment_count, segment[i], row[i], keep, thread, 128,
                                        out.data() + static_cast<int64_t>(i) * keep * columns.width,
                                        mask == nullptr ? nullptr : flags.data() + static_cast<int64_t>(i) * keep);
    check(found, "a thread of the device finds every good row");
    check(close(out, expected), "the threads of the device write what the processor writes");
    check(mask == nullptr || flags == *mask, "and the same mask");
}

void check_bad_rows_on_device(const EngineColumns &columns, const EngineSegment *segments, int64_t keep) {
    const int64_t rows = segments[0].rows, wrong_rows[] = {-1, rows, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
    const int32_t wrong_segments[] = {-1, 2, std::numeric_limits<int32_t>::max()};
    std::vector<float> out(static_cast<size_t>(keep * columns.width));
    std::vector<uint8_t> mask(static_cast<size_t>(keep));
    const auto refused = [&](const EngineSegment *pieces, int32_t segment, int64_t row) {
        bool found = true;
        std::fill(out.begin(), out.end(), 7.0f);
        for (int64_t thread = 0; thread < 4; ++thread)
            found &= engine::gather_row(columns, ENGINE_FLOAT32, pieces, 2, segment, row, keep, thread, 4, out.data(), mask.data());
        bool empty = !found;
        for (float value : out) empty &= value == 0.0f;
        for (uint8_t flag : mask) empty &= flag == 0;
        return empty;
    };
    for (int64_t row : wrong_rows) check(refused(segments, 0, row), "a row out of range gives zeros on the device");
    for (int32_t segment : wrong_segments) check(refused(segments, segment, 0), "a segment out of range gives zeros on the device");
    const int64_t damaged[] = {0, segments[0].objects + 1};
    const EngineSegment broken[] = {{segments[0].values, damaged, 1, segments[0].objects}, segments[1]};
    check(refused(broken, 0, 0), "offsets out of range give zeros on the device");
}

void check_plan(std::mt19937 &random, int64_t features, int logs_every, bool with_one_hot, int64_t keep) {
    const Columns columns(features, logs_every, with_one_hot);
    const EngineColumns view = columns.view(features);
    EnginePlan *plan = engine_plan_create(&view);
    const int64_t rows = 150, width = engine_plan_width(plan);
    std::vector<int64_t> offsets(1, 0);
    for (int64_t i = 0; i < rows; ++i) offsets.push_back(offsets.back() + static_cast<int64_t>(random() % 65));
    const int64_t objects = offsets.back();
    const std::vector<float> values = hostile(random, objects * features);
    const EngineSegment segments[] = {{values.data(), offsets.data(), rows, objects}, {nullptr, offsets.data(), 0, 0}};
    std::vector<int32_t> segment(static_cast<size_t>(rows), 0);
    std::vector<int64_t> row(static_cast<size_t>(rows));
    for (int64_t &index : row) index = static_cast<int64_t>(random() % rows);

    std::vector<float> out(static_cast<size_t>(rows * keep * width));
    std::vector<uint8_t> mask(static_cast<size_t>(rows * keep));
    check(engine_gather_objects(plan, ENGINE_FLOAT32, segments, 2, segment.data(), row.data(), rows, keep, out.data(), mask.data()) == -1,
          "good indices are accepted");
    check(all_finite(out), "jagged output is finite");
    check_device_bodies(view, segments, 2, segment, row, keep, out, &mask);
    check_bad_rows_on_device(view, segments, keep);

    const EngineSegment dense[] = {{values.data(), nullptr, objects, objects}};
    for (int64_t &index : row) index = objects > 0 ? static_cast<int64_t>(random() % objects) : 0;
    std::vector<float> flat(static_cast<size_t>(rows * width));
    if (objects > 0)
        check(engine_gather_rows(plan, ENGINE_FLOAT32, dense, 1, segment.data(), row.data(), rows, flat.data()) == -1, "rows are accepted");
    check(all_finite(flat), "dense output is finite");
    if (objects > 0) check_device_bodies(view, dense, 1, segment, row, 1, flat, nullptr);
    row[7] = objects;
    check(engine_gather_rows(plan, ENGINE_FLOAT32, dense, 1, segment.data(), row.data(), rows, flat.data()) == 7, "the bad row is named");
    segment[3] = 1;
    check(engine_gather_rows(plan, ENGINE_FLOAT32, dense, 1, segment.data(), row.data(), rows, flat.data()) == 3, "the bad segment is named");

    std::vector<float> all(static_cast<size_t>(objects * width));
    engine_sanitize(plan, ENGINE_FLOAT32, values.data(), objects, all.data());
    check(all_finite(all), "sanitized output is finite");
    std::vector<float> by_threads(all.size());
    for (size_t i = 0; i < all.size(); ++i) engine::sanitize_element(view, ENGINE_FLOAT32, values.data(), static_cast<int64_t>(i), by_threads.data());
    check(close(by_threads, all), "sanitize on the device gives what the processor gives");
    for (int dtype = 0; dtype <= ENGINE_UINT64; ++dtype) {
        std::vector<uint8_t> bytes(static_cast<size_t>(33 * features * engine_item_size(dtype)));
        for (uint8_t &byte : bytes) byte = static_cast<uint8_t>(random());
        std::vector<float> result(static_cast<size_t>(33 * width));
        engine_sanitize(plan, dtype, bytes.data(), 33, result.data());
        check(all_finite(result), "every storage type gives finite output");
    }
    engine_plan_free(plan);
}

}  // namespace

int main() {
    std::mt19937 random(1);
    for (int64_t features : {1, 3, 8, 17, 64, 743})
        for (int logs_every : {0, 1, 4})
            for (bool with_one_hot : {false, true})
                for (int64_t keep : {1, 40}) check_plan(random, features, logs_every, with_one_hot, keep);
    if (failures == 0) std::puts("all claims hold");
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
