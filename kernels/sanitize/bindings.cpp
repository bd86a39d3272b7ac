// Python skin of sanitize.
#include "bindings.h"

namespace py = pybind11;

namespace {

class Sanitize {
  public:
    Sanitize(int64_t features, const py::dict &columns) : plan_(engine::make_plan(features, columns)) {}

    // values (N, F) of the storage type `dtype` -> out (N, W)
    void into(int dtype, const py::array &values, py::array out) const {
        const bool contiguous = (values.flags() & py::array::c_style) && (values.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_);
        if (values.ndim() != 2 || values.shape(1) != engine_plan_features(plan_.get()) || !contiguous ||
            values.itemsize() != engine_item_size(dtype))
            throw std::invalid_argument("values must be a C-contiguous array of shape (objects, features)");
        const int64_t objects = values.shape(0);
        float *target = engine::output<float>(out, objects * engine_plan_width(plan_.get()), "out");
        const void *from = values.data();
        py::gil_scoped_release unlocked;
        engine_sanitize(plan_.get(), dtype, from, objects, target);
    }

  private:
    engine::Plan plan_;
};

}  // namespace

void register_sanitize(py::module_ &module) {
    py::class_<Sanitize>(module, "Sanitize")
        .def(py::init<int64_t, const py::dict &>(), py::arg("features"), py::arg("columns"))
        .def("into", &Sanitize::into, py::arg("dtype"), py::arg("values"), py::arg("out"));
#ifdef ENGINE_HAS_CUDA
    module.def("sanitize_cuda", [](int64_t features, const std::vector<uintptr_t> &columns, int64_t width, int dtype, uintptr_t values,
                                   int64_t objects, uintptr_t out, uintptr_t stream) {
        const EngineColumns c = engine::device_columns(features, width, columns);
        return engine_sanitize_cuda(c, dtype, reinterpret_cast<const void *>(values), objects, reinterpret_cast<float *>(out),
                                    reinterpret_cast<void *>(stream));
    });
#endif
}
