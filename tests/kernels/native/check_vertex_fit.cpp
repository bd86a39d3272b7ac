// The vertex fit and the extrapolation on arrays of the exact size, under the sanitizers: ordinary and hostile numbers, all shapes.
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "extrapolate/cpu.h"
#include "vertex_fit/cpu.h"

namespace {

std::mt19937_64 generator(20231019);

double ordinary(double low, double high) { return std::uniform_real_distribution<double>(low, high)(generator); }

double hostile() {
    static const double values[] = {0.0, -0.0, 1e-310, 1e300, -1e300, 1e30, NAN, INFINITY, -INFINITY, 3.141592653589793, 1e-30, -1.0};
    return generator() % 3 ? ordinary(-4, 4) : values[generator() % (sizeof(values) / sizeof(values[0]))];
}

template <class S> std::vector<S> filled(size_t size, bool bad, double low, double high) {
    std::vector<S> out(size);
    for (S& value : out) value = static_cast<S>(bad ? hostile() : ordinary(low, high));
    return out;
}

template <class S> bool all_finite(const std::vector<S>& values) {
    for (S value : values)
        if (!std::isfinite(value)) return false;
    return true;
}

// One random problem; returns false where something is not finite.
template <class S> bool fit_once(bool bad, bool ragged, bool full, bool ndive, bool prior) {
    const int64_t jets = 1 + generator() % (generator() % 8 ? 40 : 600), vertices = 1 + generator() % 2, padded = generator() % 20;
    std::vector<int64_t> offsets{0};
    for (int64_t jet = 0; jet < jets; ++jet) offsets.push_back(offsets.back() + (ragged ? generator() % 20 : padded));
    const size_t total = offsets.back(), width = full ? 25 : 5, heads = jets * vertices;
    auto tracks = filled<S>(total * 5, bad, -0.1, 1.4), covariance = filled<S>(total * width, bad, 1e-6, 1e-2), weights = filled<S>(total * vertices, bad, 0, 1);
    std::vector<uint8_t> mask(total);
    for (uint8_t& flag : mask) flag = generator() % 4 != 0;
    auto position = filled<S>(heads * 3, bad, -1, 1), information = filled<S>(heads * 9, bad, 0, 1), seed = filled<S>(heads * 3, bad, -1, 1);
    std::vector<S> vertex(heads * 3), spread(heads * 9), chi2(heads), momenta(total * vertices * 3);
    std::vector<int32_t> status(heads);
    EngineVertexInputs in{jets, vertices, padded, ragged ? 1 : vertices, ragged ? static_cast<int64_t>(total) : padded, ragged ? offsets.data() : nullptr,
                          tracks.data(), covariance.data(), weights.data(), mask.data(), prior ? position.data() : nullptr,
                          prior ? information.data() : nullptr, generator() % 2 ? seed.data() : nullptr, 1e-8, full, ndive, ndive ? 10 : 20, 1};
    const bool answers = !ndive && generator() % 2;
    std::vector<S> response(answers ? total * vertices * 4 : 0), g6(answers ? total * vertices : 0);
    EngineVertexOutputs out{vertex.data(), spread.data(), chi2.data(), momenta.data(), status.data(), answers ? response.data() : nullptr};
    const bool wide = sizeof(S) == 8;
    bool fine = engine_vertex_fit(&in, &out, wide, 1 + generator() % 3) == nullptr;
    auto ct1 = filled<S>(vertex.size(), bad, -1, 1), ct2 = filled<S>(spread.size(), bad, -1, 1), ct3 = filled<S>(chi2.size(), bad, -1, 1), ct4 = filled<S>(momenta.size(), bad, -1, 1);
    EngineVertexCotangents given{ct1.data(), ndive ? nullptr : ct2.data(), ndive ? nullptr : ct3.data(), ndive ? nullptr : ct4.data()};
    std::vector<S> g1(tracks.size()), g2(covariance.size()), g3(weights.size()), g4(position.size()), g5(information.size());
    EngineVertexGradients gradients{g1.data(), g2.data(), g3.data(), prior ? g4.data() : nullptr, prior ? g5.data() : nullptr};
    fine = engine_vertex_fit_backward(&in, &out, &given, &gradients, wide, 1 + generator() % 3) == nullptr && fine;
    if (generator() % 2) given.chi2 = nullptr;
    if (answers) fine = engine_vertex_fit_weights_backward(&in, response.data(), &given, g6.data(), wide, 1 + generator() % 3) == nullptr && fine;
    for (int32_t value : status) fine = fine && value >= 0 && value <= 2;
    return fine && all_finite(vertex) && all_finite(spread) && all_finite(chi2) && all_finite(momenta) && all_finite(g1) && all_finite(g2) &&
           all_finite(response) && all_finite(g6) && all_finite(g3) && all_finite(g4) && all_finite(g5);
}

template <class S> bool extrapolate_once(bool bad, bool ragged) {
    const int64_t jets = 1 + generator() % 20, padded = generator() % 20;
    std::vector<int64_t> offsets{0};
    for (int64_t jet = 0; jet < jets; ++jet) offsets.push_back(offsets.back() + (ragged ? generator() % 20 : padded));
    const size_t total = offsets.back();
    auto tracks = filled<S>(total * 5, bad, -0.1, 1.4), points = filled<S>(jets * 3, bad, -20, 20), cotangent = filled<S>(total * 5, false, -1, 1);
    std::vector<uint8_t> mask(total);
    for (uint8_t& flag : mask) flag = generator() % 4 != 0;
    EngineExtrapolateInputs in{jets, padded, ragged ? offsets.data() : nullptr, tracks.data(), points.data(), mask.data()};
    std::vector<S> out(total * 5, S(NAN)), g1(total * 5, S(NAN)), g2(jets * 3, S(NAN));
    engine_extrapolate(&in, out.data(), sizeof(S) == 8);
    engine_extrapolate_backward(&in, cotangent.data(), g1.data(), g2.data(), sizeof(S) == 8);
    return all_finite(out) && all_finite(g1) && all_finite(g2);
}

}  // namespace

int main() {
    int wrong = 0;
    for (int round = 0; round < 300; ++round) {
        const bool bad = round % 2, ragged = round / 2 % 2, full = round / 4 % 2, prior = round / 8 % 2, ndive = !full && round / 16 % 2;
        wrong += !fit_once<double>(bad, ragged, full, ndive, prior);
        wrong += !fit_once<float>(bad, ragged, full, ndive, prior);
        wrong += !extrapolate_once<double>(bad, ragged);
        wrong += !extrapolate_once<float>(bad, ragged);
    }
    std::printf(wrong ? "%d problems gave something that is not finite\n" : "all claims hold\n", wrong);
    return wrong != 0;
}
