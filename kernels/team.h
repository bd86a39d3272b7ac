// Threads that sleep until there is work. To start a thread for every call takes longer than a thousand fits.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace engine {

class Team {
public:
    // Calls work(0) here and work(1), ..., work(parts - 1) in other threads, as soon and as far as they are free: work(0) must do what the
    // others have not begun (share_out does), since it may be the only one that is called. Work must not throw.
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
        std::unique_lock<std::mutex> guard(lock_, std::defer_lock);
        while (true) {
            // The next call is often near, and to be woken takes as long as fifty fits. Who yields keeps nobody from running.
            const auto patience = std::chrono::steady_clock::now() + std::chrono::microseconds(300);
            while (!work_ && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
            guard.lock();
            wake_.wait(guard, [&] { return work_ && next_ < parts_; });
            const auto& work = *work_.load();
            const int64_t part = next_++;
            ++busy_;
            guard.unlock();
            work(part);
            guard.lock();
            if (--busy_ == 0) done_.notify_one();
            guard.unlock();
        }
    }

    std::mutex turn_, lock_;
    std::condition_variable wake_, done_;
    std::atomic<const std::function<void(int64_t)>*> work_{nullptr};
    int64_t next_ = 0, parts_ = 0, members_ = 0;
    std::atomic<int> busy_{0};
    const pid_t process_ = getpid();
};

// What a part has still to do: it takes pieces from the front, the others from the end.
class alignas(64) Range {
public:
    void set(int64_t first, int64_t last) {
        const std::lock_guard<std::mutex> guard(lock_);
        first_ = first, last_ = last;
    }
    // Calls piece(first, last) with a fourth of what is left, as long as something is.
    template <class F> bool take(F piece) {
        std::unique_lock<std::mutex> guard(lock_);
        const int64_t first = first_, left = last_ - first, share = std::max<int64_t>(least, std::min<int64_t>(most, left / 4 / 16 * 16));
        if (left <= 0) return false;
        first_ += std::min(left, share);
        guard.unlock();
        piece(first, first + std::min(left, share));
        return true;
    }
    // Gives another part half of what is left, or all of it where that is little; false where nothing is.
    bool give(Range& to) {
        int64_t middle, last;
        {
            const std::lock_guard<std::mutex> guard(lock_);
            const int64_t left = last_ - first_;
            if (left <= 0) return false;
            middle = left < 2 * least ? first_ : first_ + left / 2 / 16 * 16;
            last = last_, last_ = middle;
        }
        return to.set(middle, last), true;
    }

private:
    static constexpr int64_t least = 32, most = 512;  // multiples of the widest pack
    std::mutex lock_;
    int64_t first_ = 0, last_ = 0;
};

// work(part, first, last) for pieces of `items`, which begin at multiples of 16. A part does its own range, neighbour after neighbour, and
// then half of what another has left: who is disturbed, or has not come, does less, and all end together.
template <class F> void share_out(int64_t items, int64_t parts, F work) {
    if (parts < 2) return work(0, 0, items);
    const auto border = [&](int64_t part) { return part < parts ? items * part / parts / 16 * 16 : items; };
    std::vector<Range> ranges(parts);
    for (int64_t part = 0; part < parts; ++part) ranges[part].set(border(part), border(part + 1));
    Team::here().run(parts, [&](int64_t part) {
        const auto piece = [&](int64_t first, int64_t last) { work(part, first, last); };
        for (bool found = true; found;) {
            while (ranges[part].take(piece)) continue;
            found = false;
            for (int64_t other = 1; other < parts && !found; ++other) found = ranges[(part + other) % parts].give(ranges[part]);
        }
    });
}

}  // namespace engine
