// As much of CUDA as the kernels use, on the processor: the warps of a launch one after the other, the threads of a warp as contexts that
// give way to each other where they exchange numbers. Threads of different warps must not wait for each other.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

struct Index {
    unsigned x;
};
inline thread_local Index threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(threads)

typedef int cudaError_t;
typedef void *cudaStream_t;
enum { cudaSuccess = 0 };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char *cudaGetErrorString(cudaError_t) { return ""; }
template <class T> T atomicMin(T *address, T value) {
    const T before = *address;
    if (value < before) *address = value;
    return before;
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline double __dadd_rn(double a, double b) { return a + b; }

class Warp {
public:
    static constexpr unsigned size = 32;

    // body() as each of the threads first, first + 1, ..., last - 1 of the block.
    template <class Body> void run(unsigned first, unsigned last, const Body &body) {
        body_ = [](const void *made) { (*static_cast<const Body *>(made))(); };
        made_ = &body;
        first_ = first, left_ = last - first;
        for (unsigned lane = 0; lane < last - first; ++lane) start(lane);
        while (left_ > 0) {
            const uint64_t before = progress_;
            for (unsigned lane = 0; lane < last - first; ++lane)
                if (!threads_[lane].done) resume(lane);
            if (progress_ == before) fail("threads wait for others that have gone another way");
        }
    }

    // The number of lane `of`, once all `members` have come to the same exchange with theirs.
    template <class T> void exchange(unsigned members, const T &value) {
        Thread &me = threads_[lane_];
        if (!(members >> lane_ & 1)) fail("a thread exchanges numbers without being a member");
        std::memcpy(&me.numbers[++me.exchanges % 2], &value, sizeof(T));  // of two in turn: others may still read the last
        ++progress_;
        const unsigned mine = me.exchanges;
        for (unsigned lane = 0; lane < size; ++lane)
            while ((members >> lane & 1) && threads_[lane].exchanges < mine) swapcontext(&me.context, &scheduler_);
    }
    template <class T> T number(unsigned of) const {
        T value;
        std::memcpy(&value, &threads_[of].numbers[threads_[lane_].exchanges % 2], sizeof(T));
        return value;
    }

    static Warp &here() {
        static thread_local Warp warp;
        return warp;
    }

private:
    struct Thread {
        ucontext_t context;
        std::vector<char> stack = std::vector<char>(1 << 18);
        bool done = true;
        unsigned exchanges = 0;
        uint64_t numbers[2];
    };

    static void fail(const char *why) {
        std::fprintf(stderr, "CUDA on the processor: %s\n", why);
        std::abort();
    }
    static void enter() {
        Warp &warp = here();
        warp.body_(warp.made_);
        warp.threads_[warp.lane_].done = true;
        --warp.left_, ++warp.progress_;
    }
    void start(unsigned lane) {
        Thread &thread = threads_[lane];
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.data();
        thread.context.uc_stack.ss_size = thread.stack.size();
        thread.context.uc_link = &scheduler_;
        makecontext(&thread.context, &Warp::enter, 0);
        thread.done = false, thread.exchanges = 0;
    }
    void resume(unsigned lane) {
        lane_ = lane, threadIdx = {first_ + lane};
        swapcontext(&scheduler_, &threads_[lane].context);
    }

    ucontext_t scheduler_;
    Thread threads_[size];
    unsigned lane_ = 0, first_ = 0, left_ = 0;
    uint64_t progress_ = 0;
    void (*body_)(const void *) = nullptr;
    const void *made_ = nullptr;
};

template <class T> T __shfl_xor_sync(unsigned members, const T &value, int distance) {
    Warp &warp = Warp::here();
    warp.exchange(members, value);
    return warp.number<T>((threadIdx.x % Warp::size) ^ static_cast<unsigned>(distance));
}
inline bool __all_sync(unsigned members, bool mine) {
    Warp &warp = Warp::here();
    warp.exchange(members, mine);
    bool all = true;
    for (unsigned lane = 0; lane < Warp::size; ++lane)
        if (members >> lane & 1) all = all && warp.number<bool>(lane);
    return all;
}

// What `kernel<<<grid, block, 0, stream>>>(arguments)` becomes.
template <class Kernel, class... Arguments> void launch(Kernel kernel, unsigned grid, unsigned block, const Arguments &...arguments) {
    gridDim = {grid}, blockDim = {block};
    for (unsigned b = 0; b < grid; ++b)
        for (unsigned first = 0; first < block; first += Warp::size) {
            blockIdx = {b};
            Warp::here().run(first, first + Warp::size < block ? first + Warp::size : block, [&] { kernel(arguments...); });
        }
}
