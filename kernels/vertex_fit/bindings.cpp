// Python skin of the vertex fit: addresses in, a status out; ops.py checks shapes and allocates.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>

#include "cpu.h"

namespace py = pybind11;

namespace {

template <size_t N> using Numbers = std::array<int64_t, N>;  // counts and addresses
using Options = std::array<int32_t, 4>;

template <class T = void> T* at(int64_t address) { return reinterpret_cast<T*>(address); }

// shape: jets, vertices, padded, jet_stride, vertex_stride; data: offsets, tracks, covariance, weights, mask, prior position and
// information, seed; options: full covariance, ndive, iterations, sandwich.
EngineVertexInputs inputs(const Numbers<5>& shape, const Numbers<8>& data, const Options& options, double tolerance) {
    return {shape[0],    shape[1],    shape[2],    shape[3],     shape[4],    at<const int64_t>(data[0]), at(data[1]), at(data[2]), at(data[3]),
            at<const uint8_t>(data[4]), at(data[5]), at(data[6]), at(data[7]), tolerance, options[0], options[1], options[2], options[3]};
}

// vertex, covariance, chi2, momenta, status, response.
EngineVertexOutputs outputs(const Numbers<6>& data) { return {at(data[0]), at(data[1]), at(data[2]), at(data[3]), at<int32_t>(data[4]), at(data[5])}; }

EngineVertexCotangents cotangents(const Numbers<4>& data) { return {at(data[0]), at(data[1]), at(data[2]), at(data[3])}; }

template <class Run> void checked(Run run) {
    py::gil_scoped_release unlocked;
    if (const char* error = run()) throw std::runtime_error(error);
}

template <auto Kernel>
void forward(const Numbers<5>& shape, const Numbers<8>& data, const Options& options, double tolerance, const Numbers<6>& out, bool wide, int64_t where) {
    const auto in = inputs(shape, data, options, tolerance);
    const auto result = outputs(out);
    checked([&] { return Kernel(&in, &result, wide, where); });
}

template <auto Kernel>
void backward(const Numbers<5>& shape, const Numbers<8>& data, const Options& options, double tolerance, const Numbers<6>& out, const Numbers<4>& ct,
              const Numbers<5>& gradients, bool wide, int64_t where) {
    const auto in = inputs(shape, data, options, tolerance);
    const auto solution = outputs(out);
    const auto given = cotangents(ct);
    const EngineVertexGradients wanted{at(gradients[0]), at(gradients[1]), at(gradients[2]), at(gradients[3]), at(gradients[4])};
    checked([&] { return Kernel(&in, &solution, &given, &wanted, wide, where); });
}

template <auto Kernel>
void weights_backward(const Numbers<5>& shape, int64_t offsets, int64_t response, const Numbers<4>& ct, int64_t weights, bool wide, int64_t where) {
    const auto in = inputs(shape, {offsets}, {}, 0);
    const auto given = cotangents(ct);
    checked([&] { return Kernel(&in, at(response), &given, at(weights), wide, where); });
}

}  // namespace

// One device's kernels.
#define ENGINE_DEFINE(suffix, place)                                                                                                       \
    module.def("vertex_fit" #suffix, &forward<engine_vertex_fit##suffix>, "Fit vertices " place ".");                                      \
    module.def("vertex_fit_backward" #suffix, &backward<engine_vertex_fit_backward##suffix>, "Gradients of the vertex fit " place ".");    \
    module.def("vertex_fit_weights_backward" #suffix, &weights_backward<engine_vertex_fit_weights_backward##suffix>,                       \
               "Gradient of the weights from the fit's response to them " place ".");

void register_vertex_fit(py::module_& module) {
    ENGINE_DEFINE(, "on the processor")
    module.def("vertex_fit_level", &engine_vertex_fit_level, "Limit the vertex fit's instructions; for tests.");
#ifdef ENGINE_HAS_CUDA
    ENGINE_DEFINE(_cuda, "on a CUDA device")
#endif
}
