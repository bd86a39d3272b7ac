// Python skin of the extrapolation: addresses in; ops.py checks shapes and allocates.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>

#include "cpu.h"

namespace py = pybind11;

namespace {

using Address = uintptr_t;
template <class T = void> T* at(Address address) { return reinterpret_cast<T*>(address); }

// data: offsets, tracks, points, mask.
EngineExtrapolateInputs inputs(int64_t jets, int64_t padded, const std::array<Address, 4>& data) {
    return {jets, padded, at<const int64_t>(data[0]), at(data[1]), at(data[2]), at<const uint8_t>(data[3])};
}

void forward(int64_t jets, int64_t padded, const std::array<Address, 4>& data, Address out, bool double_precision) {
    const auto in = inputs(jets, padded, data);
    py::gil_scoped_release unlocked;
    engine_extrapolate(&in, at(out), double_precision);
}

void backward(int64_t jets, int64_t padded, const std::array<Address, 4>& data, Address cotangent, Address tracks, Address points, bool double_precision) {
    const auto in = inputs(jets, padded, data);
    py::gil_scoped_release unlocked;
    engine_extrapolate_backward(&in, at(cotangent), at(tracks), at(points), double_precision);
}

#ifdef ENGINE_HAS_CUDA
void check(const char* error) {
    if (error) throw std::runtime_error(error);
}

void forward_cuda(int64_t jets, int64_t padded, const std::array<Address, 4>& data, Address out, bool double_precision, Address stream) {
    const auto in = inputs(jets, padded, data);
    check(engine_extrapolate_cuda(&in, at(out), double_precision, at(stream)));
}

void backward_cuda(int64_t jets, int64_t padded, const std::array<Address, 4>& data, Address cotangent, Address tracks, Address points,
                   bool double_precision, Address stream) {
    const auto in = inputs(jets, padded, data);
    check(engine_extrapolate_backward_cuda(&in, at(cotangent), at(tracks), at(points), double_precision, at(stream)));
}
#endif

}  // namespace

void register_extrapolate(py::module_& module) {
    module.def("extrapolate", &forward, "Perigees about other points, on the processor.");
    module.def("extrapolate_backward", &backward, "Gradients of the extrapolation on the processor.");
#ifdef ENGINE_HAS_CUDA
    module.def("extrapolate_cuda", &forward_cuda, "Perigees about other points, on a CUDA device.");
    module.def("extrapolate_backward_cuda", &backward_cuda, "Gradients of the extrapolation on a CUDA device.");
#endif
}
