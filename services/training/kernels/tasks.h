// How a kernel's work is shared out among the threads of a pool.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

// Tasks that whoever has time takes one by one. The caller works too and waits for started tasks
// only: were it to wait for the pool's threads, a pool whose threads all wait would stand still.
class Tasks : public std::enable_shared_from_this<Tasks> {
 public:
  Tasks(int64_t count, std::function<void(int64_t)> work) : count_(count), work_(std::move(work)) {}

  void Run(xla::ffi::ThreadPool& pool) {
    const int64_t helpers = std::min(count_, static_cast<int64_t>(pool.num_threads())) - 1;
    for (int64_t helper = 0; helper < helpers; ++helper)
      pool.Schedule([self = shared_from_this()] { self->Take(); });
    Take();
    std::unique_lock<std::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return done_ == count_; });
  }

 private:
  void Take() {
    for (int64_t task; (task = next_.fetch_add(1)) < count_;) {
      work_(task);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (++done_ == count_) all_done_.notify_one();
    }
  }

  const int64_t count_;
  const std::function<void(int64_t)> work_;
  std::atomic<int64_t> next_{0};
  std::mutex mutex_;
  std::condition_variable all_done_;
  int64_t done_ = 0;
};

inline void ForEachTask(xla::ffi::ThreadPool& pool, int64_t count, std::function<void(int64_t)> work) {
  std::make_shared<Tasks>(count, std::move(work))->Run(pool);
}
