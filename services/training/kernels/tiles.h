// What the bindings ask of each instruction set's form of the kernel.
#pragma once

#include <cstdint>

constexpr int kKernel = 5;   // rows and columns of the convolution's kernel
constexpr int kLanes = 16;   // images that are computed together: one task
constexpr int8_t kNobody = 4;  // winner of a window that ReLU closes

// Sizes of a stride-1 convolution with 2x2 pooling over channel-major images.
struct Shape {
  int64_t channels, height, width, batch;  // of the images
  int64_t filters, padding;

  int64_t Rows() const { return (height + 2 * padding - kKernel + 1) / 2; }   // pooled
  int64_t Columns() const { return (width + 2 * padding - kKernel + 1) / 2; }
  int64_t Taps() const { return channels * kKernel * kKernel; }
};

// Each computes images `first` to `first + kLanes` of the batch.
struct Tiles {
  void (*forward)(const Shape&, int64_t first, const float* x, const float* weight,
                  const float* bias, float* y, int8_t* winner);
  // Gradient of the images.
  void (*images)(const Shape&, int64_t first, const float* d_y, const int8_t* winner,
                 const float* weight, float* d_x);
  // This task's share of the weight's gradient and then the bias's: filters * (Taps() + 1) floats.
  void (*weights)(const Shape&, int64_t first, const float* d_y, const int8_t* winner,
                  const float* x, float* share);
};

namespace avx512 {
extern const Tiles kTiles;
}
namespace avx2 {
extern const Tiles kTiles;
}
