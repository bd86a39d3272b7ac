// The threads that share work out: every item is done once, in pieces that begin at multiples of 16, whoever calls and however many come.
#include "team.h"

#include <cstdio>
#include <cstdlib>

namespace {

void require(bool holds, const char* claim) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", claim);
    std::exit(1);
}

void each_item_once(int64_t items, int64_t parts, int delay) {
    std::vector<int> done(items, 0);
    std::vector<std::atomic<int>> inside(parts);
    std::atomic<bool> alone{true}, aligned{true};
    engine::share_out(items, parts, [&](int64_t part, int64_t first, int64_t last) {
        alone = alone && inside[part]++ == 0;
        aligned = aligned && first % 16 == 0 && first < last && last <= items;
        for (int64_t item = first; item < last; ++item) ++done[item];
        if (delay && part % 2) std::this_thread::sleep_for(std::chrono::microseconds(delay));
        --inside[part];
    });
    for (int count : done) require(count == 1, "every item is done once");
    require(alone, "a part has its memory for itself");
    require(aligned, "pieces begin at multiples of 16");
}

}  // namespace

int main() {
    for (int64_t items : {1, 15, 16, 17, 63, 64, 65, 1000, 4096, 20011})
        for (int64_t parts : {1, 2, 3, 5, 8}) each_item_once(items, parts, 0);
    for (int turn = 0; turn < 20; ++turn) each_item_once(3000, 4, 50);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // everybody sleeps
    each_item_once(20011, 3, 0);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([] {
            for (int turn = 0; turn < 50; ++turn) each_item_once(2000, 3, 0);
        });
    for (std::thread& caller : callers) caller.join();
    std::puts("all claims hold");
}
