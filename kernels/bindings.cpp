// The compiled module: asks each kernel to register itself. setup.py lists the kernels that have a bindings.cpp as ENGINE_KERNELS(X).
#include <pybind11/pybind11.h>

#include "levels.h"

namespace py = pybind11;

#define ENGINE_DECLARE(name) void register_##name(py::module_ &module);
ENGINE_KERNELS(ENGINE_DECLARE)

#ifdef ENGINE_HAS_CUDA
extern "C" int engine_cuda_device_count(const char **reason);
extern "C" const char *engine_cuda_error(int error);
#endif

namespace {

// The instruction set that the kernels use on this processor.
const char *running_level() {
    constexpr const char *names[] = {"baseline", "x86-64-v3", "x86-64-v4"};
    return names[engine::running_level()];
}

py::tuple device_count() {
#ifdef ENGINE_HAS_CUDA
    const char *reason = "";
    const int count = engine_cuda_device_count(&reason);
    return py::make_tuple(count, reason);
#else
    return py::make_tuple(0, "built without CUDA");
#endif
}

}  // namespace

PYBIND11_MODULE(_native, module, py::mod_gil_not_used()) {
    module.doc() = "Compiled kernels; use them through the packages of engine_kernels.";
    module.def("running_level", &running_level, "Instruction set that the kernels use on this processor.");
    module.def("device_count", &device_count, "Number of CUDA devices, and why there is none.");
    module.attr("built_levels") = ENGINE_HAS_CLONES ? "baseline, x86-64-v3, x86-64-v4" : "baseline";
    py::list kernels;
#define ENGINE_REGISTER(name) \
    register_##name(module);  \
    kernels.append(#name);
    ENGINE_KERNELS(ENGINE_REGISTER)
    module.attr("kernels") = py::tuple(kernels);
#ifdef ENGINE_HAS_CUDA
    module.def("cuda_error", &engine_cuda_error, "What the number of a CUDA error means.");
    module.attr("cuda_archs") = ENGINE_HAS_CUDA;
#else
    module.attr("cuda_archs") = "";
#endif
}
