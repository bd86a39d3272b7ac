// The plan of the sanitize kernel as Python objects hand it over; shared by the skins of sanitize and gather.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sanitize.h"

namespace engine {

namespace py = pybind11;

struct FreePlan {
    void operator()(EnginePlan *plan) const { engine_plan_free(plan); }
};
using Plan = std::unique_ptr<EnginePlan, FreePlan>;

template <typename T>
const T *column_array(const py::dict &columns, const char *name, int64_t width) {
    const py::array array = py::cast<py::array>(columns[name]);
    if (!py::isinstance<py::array_t<T, py::array::c_style>>(array) || array.ndim() != 1 || array.size() != width)
        throw std::invalid_argument(std::string("the columns hold a wrong array of ") + name);
    return static_cast<const T *>(array.data());
}

// `columns`: arrays of layout.py by name.
inline Plan make_plan(int64_t features, const py::dict &columns) {
    const auto width = static_cast<int64_t>(py::len(columns["source"]));
    EngineColumns c{features,
                    width,
                    column_array<int32_t>(columns, "source", width),
                    column_array<uint8_t>(columns, "absolute", width),
                    column_array<uint8_t>(columns, "log1p", width),
                    column_array<uint8_t>(columns, "one_hot", width),
                    column_array<float>(columns, "low", width),
                    column_array<float>(columns, "high", width),
                    column_array<float>(columns, "scale", width),
                    column_array<float>(columns, "offset", width),
                    column_array<float>(columns, "fill", width),
                    column_array<float>(columns, "value", width)};
    for (int64_t i = 0; i < width; ++i)
        if (c.source[i] < 0 || c.source[i] >= features) throw std::invalid_argument("a column names a feature that does not exist");
    return Plan(engine_plan_create(&c));
}

#ifdef ENGINE_HAS_CUDA
// The ten arrays of EngineColumns as addresses in device memory, in the order of the struct.
inline EngineColumns device_columns(int64_t features, int64_t width, const std::vector<uintptr_t> &at) {
    if (at.size() != 10) throw std::invalid_argument("the columns are ten arrays");
    const auto bytes = [&](size_t i) { return reinterpret_cast<const uint8_t *>(at[i]); };
    const auto floats = [&](size_t i) { return reinterpret_cast<const float *>(at[i]); };
    return {features,  width,     reinterpret_cast<const int32_t *>(at[0]), bytes(1),  bytes(2), bytes(3),
            floats(4), floats(5), floats(6), floats(7), floats(8), floats(9)};
}
#endif

// A C-contiguous aligned array of exactly this type, whatever its number of elements.
template <typename T>
bool holds(const py::array &array) {
    return py::isinstance<py::array_t<T, py::array::c_style>>(array) && (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_);
}

// The memory of an output of exactly `size` elements of type T.
template <typename T>
T *output(py::array &array, int64_t size, const char *name) {
    if (!holds<T>(array) || !array.writeable() || array.size() != size)
        throw std::invalid_argument(std::string(name) + " must be a writeable C-contiguous array of the batch's size and type");
    return static_cast<T *>(array.mutable_data());
}

}  // namespace engine
