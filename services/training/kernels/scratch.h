// Memory that a kernel works in; every instruction set has a class of its own.
#pragma once

#include <cstdint>
#include <cstdlib>

#ifndef ORIEL_TARGET
#error "define ORIEL_TARGET as avx512 or avx2"
#endif

namespace ORIEL_TARGET {

// A thread's own memory, kept between calls and aligned for vectors. Not a standard container: the
// linker keeps one copy of those for all instruction sets, and it might be one that traps here.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(data_); }

  float* Floats(int64_t count) {
    if (count > count_) {
      std::free(data_);
      data_ = static_cast<float*>(std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64));
      count_ = count;
    }
    return data_;
  }

 private:
  float* data_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace ORIEL_TARGET
