// A module with the CUDA kernels on the processor. The vertex fit and the extrapolation stand where the processor's do; gather and sanitize,
// which take other arguments there, keep their names.
#include <pybind11/pybind11.h>

#include "extrapolate/cpu.h"
#include "vertex_fit/cpu.h"

namespace py = pybind11;

void register_extrapolate(py::module_ &module);
void register_gather(py::module_ &module);
void register_sanitize(py::module_ &module);
void register_vertex_fit(py::module_ &module);

extern "C" {
const char *engine_vertex_fit(const EngineVertexInputs *in, const EngineVertexOutputs *out, int double_precision, intptr_t) {
    return engine_vertex_fit_cuda(in, out, double_precision, 0);
}
const char *engine_vertex_fit_backward(const EngineVertexInputs *in, const EngineVertexOutputs *solution, const EngineVertexCotangents *cotangents,
                                       const EngineVertexGradients *out, int double_precision, intptr_t) {
    return engine_vertex_fit_backward_cuda(in, solution, cotangents, out, double_precision, 0);
}
const char *engine_vertex_fit_weights_backward(const EngineVertexInputs *in, const void *response, const EngineVertexCotangents *cotangents, void *weights,
                                               int double_precision, intptr_t) {
    return engine_vertex_fit_weights_backward_cuda(in, response, cotangents, weights, double_precision, 0);
}
int engine_vertex_fit_level(int) { return 0; }
void engine_extrapolate(const EngineExtrapolateInputs *in, void *out, int double_precision) {
    engine_extrapolate_cuda(in, out, double_precision, nullptr);
}
void engine_extrapolate_backward(const EngineExtrapolateInputs *in, const void *cotangent, void *tracks, void *points, int double_precision) {
    engine_extrapolate_backward_cuda(in, cotangent, tracks, points, double_precision, nullptr);
}
}

PYBIND11_MODULE(cuda_on_host, module) {
    register_extrapolate(module);
    register_gather(module);
    register_sanitize(module);
    register_vertex_fit(module);
}
