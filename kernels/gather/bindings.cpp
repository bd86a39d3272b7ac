// Python skin of gather.
#include "gather.h"

#include <vector>

#include "../sanitize/bindings.h"

namespace py = pybind11;

namespace {

// One input: its segments (which the caller keeps alive) and its transforms.
class Gather {
  public:
    // segments: (address of values, address of offsets or 0, rows, objects) each.
    Gather(int64_t features, const py::dict &columns, int dtype, const std::vector<std::tuple<uintptr_t, uintptr_t, int64_t, int64_t>> &segments)
        : plan_(engine::make_plan(features, columns)), dtype_(dtype) {
        if (engine_item_size(dtype) == 0) throw std::invalid_argument("unknown storage type");
        for (const auto &[values, offsets, rows, objects] : segments)
            segments_.push_back({reinterpret_cast<const void *>(values), reinterpret_cast<const int64_t *>(offsets), rows, objects});
    }

    // The return values are those of the C interface: -1, or the position of the first index out of range.
    int64_t rows(const py::array &segment, const py::array &row, py::array out) const {
        const int64_t count = check(segment, row, false);
        float *target = engine::output<float>(out, count * engine_plan_width(plan_.get()), "out");
        const auto *segment_data = static_cast<const int32_t *>(segment.data());
        const auto *row_data = static_cast<const int64_t *>(row.data());
        py::gil_scoped_release unlocked;
        return engine_gather_rows(plan_.get(), dtype_, segments_.data(), ssize(), segment_data, row_data, count, target);
    }

    int64_t objects(const py::array &segment, const py::array &row, int64_t keep, py::array out, py::array mask) const {
        const int64_t count = check(segment, row, true);
        if (keep < 1) throw std::invalid_argument("keep must be at least 1");
        float *target = engine::output<float>(out, count * keep * engine_plan_width(plan_.get()), "out");
        auto *flags = reinterpret_cast<uint8_t *>(engine::output<bool>(mask, count * keep, "mask"));
        const auto *segment_data = static_cast<const int32_t *>(segment.data());
        const auto *row_data = static_cast<const int64_t *>(row.data());
        py::gil_scoped_release unlocked;
        return engine_gather_objects(plan_.get(), dtype_, segments_.data(), ssize(), segment_data, row_data, count, keep, target, flags);
    }

  private:
    int64_t ssize() const { return static_cast<int64_t>(segments_.size()); }

    int64_t check(const py::array &segment, const py::array &row, bool jagged) const {
        if (!engine::holds<int32_t>(segment) || !engine::holds<int64_t>(row) || segment.size() != row.size())
            throw std::invalid_argument("segment must be int32 and row int64, C-contiguous and of the same length");
        for (const EngineSegment &piece : segments_)
            if ((piece.offsets != nullptr) != jagged && piece.rows > 0)
                throw std::invalid_argument(jagged ? "the segments have no offsets" : "the segments have offsets");
        return segment.size();
    }

    engine::Plan plan_;
    int dtype_;
    std::vector<EngineSegment> segments_;
};

}  // namespace

void register_gather(py::module_ &module) {
    py::class_<Gather>(module, "Gather")
        .def(py::init<int64_t, const py::dict &, int, const std::vector<std::tuple<uintptr_t, uintptr_t, int64_t, int64_t>> &>(),
             py::arg("features"), py::arg("columns"), py::arg("dtype"), py::arg("segments"))
        .def("rows", &Gather::rows, py::arg("segment"), py::arg("row"), py::arg("out"))
        .def("objects", &Gather::objects, py::arg("segment"), py::arg("row"), py::arg("keep"), py::arg("out"), py::arg("mask"));
#ifdef ENGINE_HAS_CUDA
    module.def("gather_cuda", [](int64_t features, const std::vector<uintptr_t> &columns, int64_t width, int dtype, uintptr_t segments,
                                 int64_t segment_count, uintptr_t segment, uintptr_t row, int64_t count, int64_t keep, uintptr_t out,
                                 uintptr_t mask, uintptr_t bad, uintptr_t stream) {
        return engine_gather_cuda(engine::device_columns(features, width, columns), dtype, reinterpret_cast<const EngineSegment *>(segments),
                                  segment_count, reinterpret_cast<const int32_t *>(segment), reinterpret_cast<const int64_t *>(row), count,
                                  keep, reinterpret_cast<float *>(out), reinterpret_cast<uint8_t *>(mask),
                                  reinterpret_cast<int64_t *>(bad), reinterpret_cast<void *>(stream));
    });
#endif
}
