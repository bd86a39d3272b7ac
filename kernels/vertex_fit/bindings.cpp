// Python skin of the vertex fit: addresses in, a status out; ops.py checks shapes and allocates.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>

#include "cpu.h"

namespace py = pybind11;

namespace {

using Address = uintptr_t;

template <class T = void> T* at(Address address) { return reinterpret_cast<T*>(address); }

// shape: jets, vertices, padded, jet_stride, vertex_stride; data: offsets, tracks, covariance, weights, mask, prior position and
// information, seed; options: full covariance, ndive, iterations, sandwich.
EngineVertexInputs inputs(const std::array<int64_t, 5>& shape, const std::array<Address, 8>& data, const std::array<int32_t, 4>& options, double tolerance) {
    return {shape[0],    shape[1],    shape[2],    shape[3],     shape[4],    at<const int64_t>(data[0]), at(data[1]), at(data[2]), at(data[3]),
            at<const uint8_t>(data[4]), at(data[5]), at(data[6]), at(data[7]), tolerance, options[0], options[1], options[2], options[3]};
}

EngineVertexOutputs outputs(const std::array<Address, 5>& data, Address response = 0) {
    return {at(data[0]), at(data[1]), at(data[2]), at(data[3]), at<int32_t>(data[4]), at(response)};
}

void check(int failed) {
    if (failed) throw std::runtime_error("the vertex fit ran out of memory");
}

void forward(const std::array<int64_t, 5>& shape, const std::array<Address, 8>& data, const std::array<int32_t, 4>& options, double tolerance,
             const std::array<Address, 5>& out, Address response, bool double_precision, int threads) {
    const auto in = inputs(shape, data, options, tolerance);
    const auto result = outputs(out, response);
    py::gil_scoped_release unlocked;
    check(engine_vertex_fit(&in, &result, double_precision, threads));
}

void backward(const std::array<int64_t, 5>& shape, const std::array<Address, 8>& data, const std::array<int32_t, 4>& options, double tolerance,
              const std::array<Address, 5>& out, const std::array<Address, 4>& cotangents, const std::array<Address, 5>& gradients,
              bool double_precision, int threads) {
    const auto in = inputs(shape, data, options, tolerance);
    const auto solution = outputs(out);
    const EngineVertexCotangents given{at(cotangents[0]), at(cotangents[1]), at(cotangents[2]), at(cotangents[3])};
    const EngineVertexGradients wanted{at(gradients[0]), at(gradients[1]), at(gradients[2]), at(gradients[3]), at(gradients[4])};
    py::gil_scoped_release unlocked;
    check(engine_vertex_fit_backward(&in, &solution, &given, &wanted, double_precision, threads));
}

// data: the response and the cotangents of vertex and chi2.
void weights_backward(const std::array<int64_t, 5>& shape, Address offsets, const std::array<Address, 3>& data, Address weights, bool double_precision,
                      int threads) {
    const auto in = inputs(shape, {offsets}, {}, 0);
    py::gil_scoped_release unlocked;
    check(engine_vertex_fit_weights_backward(&in, at(data[0]), at(data[1]), at(data[2]), at(weights), double_precision, threads));
}

#ifdef ENGINE_HAS_CUDA
void forward_cuda(const std::array<int64_t, 5>& shape, const std::array<Address, 8>& data, const std::array<int32_t, 4>& options, double tolerance,
                  const std::array<Address, 5>& out, bool double_precision, Address stream) {
    const auto in = inputs(shape, data, options, tolerance);
    const auto result = outputs(out);
    if (const char* error = engine_vertex_fit_cuda(&in, &result, double_precision, at(stream))) throw std::runtime_error(error);
}

void backward_cuda(const std::array<int64_t, 5>& shape, const std::array<Address, 8>& data, const std::array<int32_t, 4>& options, double tolerance,
                   const std::array<Address, 5>& out, const std::array<Address, 4>& cotangents, const std::array<Address, 5>& gradients,
                   bool double_precision, Address stream) {
    const auto in = inputs(shape, data, options, tolerance);
    const auto solution = outputs(out);
    const EngineVertexCotangents given{at(cotangents[0]), at(cotangents[1]), at(cotangents[2]), at(cotangents[3])};
    const EngineVertexGradients wanted{at(gradients[0]), at(gradients[1]), at(gradients[2]), at(gradients[3]), at(gradients[4])};
    if (const char* error = engine_vertex_fit_backward_cuda(&in, &solution, &given, &wanted, double_precision, at(stream))) throw std::runtime_error(error);
}
#endif

}  // namespace

void register_vertex_fit(py::module_& module) {
    module.def("vertex_fit", &forward, "Fit vertices on the processor.");
    module.def("vertex_fit_backward", &backward, "Gradients of the vertex fit on the processor.");
    module.def("vertex_fit_weights_backward", &weights_backward, "Gradient of the weights from the fit's response to them.");
    module.def("vertex_fit_level", &engine_vertex_fit_level, "Limit the vertex fit's instructions; for tests.");
#ifdef ENGINE_HAS_CUDA
    module.def("vertex_fit_cuda", &forward_cuda, "Fit vertices on a CUDA device.");
    module.def("vertex_fit_backward_cuda", &backward_cuda, "Gradients of the vertex fit on a CUDA device.");
#endif
}
