// Threads that sleep until there is work. To start a thread for every call takes longer than a thousand fits.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>

namespace engine {

class Team {
public:
    // Calls work(0) here and work(1), ..., work(parts - 1) in other threads, as soon and as far as they are free: a part takes what is to be
    // done from a queue that all share, so that nothing waits for a thread that has not come. Work must not throw.
    void run(int64_t parts, const std::function<void(int64_t)>& work) {
        std::unique_lock<std::mutex> mine(turn_, std::try_to_lock);
        if (parts < 2 || !mine.owns_lock()) return work(0);
        hire(parts - 1);
        {
            const std::lock_guard<std::mutex> guard(lock_);
            work_ = &work, next_ = 1, parts_ = parts;
        }
        for (int64_t part = 1; part < parts; ++part) wake_.notify_one();
        work(0);
        {
            const std::lock_guard<std::mutex> guard(lock_);
            work_ = nullptr;
        }
        for (int turns = 0; busy_ && turns < 20000; ++turns) std::atomic_signal_fence(std::memory_order_seq_cst);  // to sleep takes longer
        std::unique_lock<std::mutex> guard(lock_);
        done_.wait(guard, [&] { return busy_ == 0; });
    }

    // The team of this process. It is never taken apart: its threads may sleep when the process ends.
    static Team& here() {
        static std::atomic<Team*> current{new Team};
        if (current.load()->process_ != getpid()) current = new Team;  // a fork copies no threads
        return *current;
    }

private:
    void hire(int64_t wanted) {
        try {
            for (; members_ < wanted; ++members_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {  // no more threads are to be had: those who are here do the work
        }
    }
    void serve() {
        std::unique_lock<std::mutex> guard(lock_);
        while (true) {
            wake_.wait(guard, [&] { return work_ && next_ < parts_; });
            const auto& work = *work_;
            const int64_t part = next_++;
            ++busy_;
            guard.unlock();
            work(part);
            guard.lock();
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::mutex turn_, lock_;
    std::condition_variable wake_, done_;
    const std::function<void(int64_t)>* work_ = nullptr;
    int64_t next_ = 0, parts_ = 0, members_ = 0;
    std::atomic<int> busy_{0};
    const pid_t process_ = getpid();
};

// work(part, first, last) for shares of `items`, each taken by whoever is free: who is disturbed does less. Shares are multiples of 16, and
// become smaller in the end, so that all end together.
template <class F> void share_out(int64_t items, int64_t parts, F work) {
    if (parts < 2) return work(0, 0, items);
    std::atomic<int64_t> next{0};
    Team::here().run(parts, [&](int64_t part) {
        const auto share = [&](int64_t first) { return std::max<int64_t>(64, std::min<int64_t>(256, (items - first) / (parts * 8) / 16 * 16)); };
        for (int64_t first = next; first < items; first = next) {
            const int64_t last = std::min(items, first + share(first));
            if (next.compare_exchange_strong(first, last)) work(part, first, last);
        }
    });
}

}  // namespace engine
