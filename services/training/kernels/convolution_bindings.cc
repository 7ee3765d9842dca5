// The convolution as XLA custom calls: checks shapes, picks the instruction set, shares out the
// batch.

#include <vector>

#include "tasks.h"
#include "tiles.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

const Tiles* ForThisProcessor() {
  if (__builtin_cpu_supports("avx512f")) return &avx512::kTiles;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2::kTiles;
  return nullptr;
}

using Images = ffi::Buffer<ffi::F32, 4>;   // [channel, height, width, batch]
using Weight = ffi::Buffer<ffi::F32, 4>;   // [filter, channel, row, column]
using Winner = ffi::Buffer<ffi::S8, 4>;    // [filter, row, column, batch]
using Bias = ffi::Buffer<ffi::F32, 1>;

ffi::ErrorOr<Shape> Checked(ffi::Span<const int64_t> x, ffi::Span<const int64_t> weight,
                            int64_t padding) {
  const Shape shape{x[0], x[1], x[2], x[3], weight[0], padding};
  if (weight[1] != x[0] || weight[2] != kKernel || weight[3] != kKernel)
    return ffi::Unexpected(ffi::Error::InvalidArgument("the weight is not [filter, channel, 5, 5]"));
  if (x[1] % 2 || x[2] % 2 || x[3] % kLanes)
    return ffi::Unexpected(ffi::Error::InvalidArgument("sides must be even and the batch a multiple of 16"));
  if (padding < 0 || padding >= kKernel || shape.Rows() < 1 || shape.Columns() < 1)
    return ffi::Unexpected(ffi::Error::InvalidArgument("the kernel does not fit the images"));
  return shape;
}

ffi::Error Forward(ffi::ThreadPool pool, Images x, Weight weight, Bias bias,
                   ffi::Result<Images> y, ffi::Result<Winner> winner, int64_t padding) {
  const auto shape = Checked(x.dimensions(), weight.dimensions(), padding);
  if (shape.has_error()) return shape.error();
  const Tiles* tiles = ForThisProcessor();
  ForEachTask(pool, shape->batch / kLanes, [&](int64_t task) {
    tiles->forward(*shape, task * kLanes, x.typed_data(), weight.typed_data(), bias.typed_data(),
                   y->typed_data(), winner->typed_data());
  });
  return ffi::Error::Success();
}

ffi::Error ImagesGradient(ffi::ThreadPool pool, Images d_y, Winner winner, Weight weight,
                          ffi::Result<Images> d_x, int64_t padding) {
  const auto shape = Checked(d_x->dimensions(), weight.dimensions(), padding);
  if (shape.has_error()) return shape.error();
  const Tiles* tiles = ForThisProcessor();
  ForEachTask(pool, shape->batch / kLanes, [&](int64_t task) {
    tiles->images(*shape, task * kLanes, d_y.typed_data(), winner.typed_data(),
                  weight.typed_data(), d_x->typed_data());
  });
  return ffi::Error::Success();
}

ffi::Error WeightsGradient(ffi::ThreadPool pool, Images d_y, Winner winner, Images x,
                           ffi::Result<Weight> d_weight, ffi::Result<Bias> d_bias,
                           int64_t padding) {
  const auto shape = Checked(x.dimensions(), d_weight->dimensions(), padding);
  if (shape.has_error()) return shape.error();
  const Tiles* tiles = ForThisProcessor();
  const int64_t tasks = shape->batch / kLanes, weights = shape->filters * shape->Taps();
  const int64_t floats = weights + shape->filters;
  std::vector<float> shares(tasks * floats);
  ForEachTask(pool, tasks, [&](int64_t task) {
    tiles->weights(*shape, task * kLanes, d_y.typed_data(), winner.typed_data(), x.typed_data(),
                   shares.data() + task * floats);
  });
  // Shares are added in the batch's order whoever made them, so threads do not change the sum.
  for (int64_t at = 0; at < floats; ++at) {
    float sum = 0;
    for (int64_t task = 0; task < tasks; ++task) sum += shares[task * floats + at];
    (at < weights ? d_weight->typed_data()[at] : d_bias->typed_data()[at - weights]) = sum;
  }
  return ffi::Error::Success();
}

}  // namespace

extern "C" int oriel_runs_here() { return ForThisProcessor() != nullptr; }

XLA_FFI_DEFINE_HANDLER_SYMBOL(oriel_convolve_and_pool, Forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Images>()
                                  .Arg<Weight>()
                                  .Arg<Bias>()
                                  .Ret<Images>()
                                  .Ret<Winner>()
                                  .Attr<int64_t>("padding"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(oriel_convolve_and_pool_images, ImagesGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Images>()
                                  .Arg<Winner>()
                                  .Arg<Weight>()
                                  .Ret<Images>()
                                  .Attr<int64_t>("padding"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(oriel_convolve_and_pool_weights, WeightsGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Images>()
                                  .Arg<Winner>()
                                  .Arg<Images>()
                                  .Ret<Weight>()
                                  .Ret<Bias>()
                                  .Attr<int64_t>("padding"));
