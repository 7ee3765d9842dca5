// Direct convolution with the batch in vector lanes; compiled once for each instruction set.
//
// Images lie as [channel, height, width, batch], so a vector holds one pixel of several images and
// every weight is one scalar for all of them: no patch is gathered and no zero is multiplied. A
// tile of filters times the four places of a pooling window stays in registers while the taps of
// the kernel run over it.

#include "tiles.h"

#include <cstring>

#include "scratch.h"

namespace ORIEL_TARGET {
namespace {

#ifdef __AVX512F__
constexpr int kVector = 16;      // floats in a register
constexpr int kTileFilters = 6;  // 6 * 4 sums, 4 pixels and a weight fit into 32 registers
constexpr int kShareFilters = 4;
#else
constexpr int kVector = 8;
constexpr int kTileFilters = 2;
constexpr int kShareFilters = 2;
#endif
constexpr int kVectors = kLanes / kVector;

typedef float Floats __attribute__((vector_size(4 * kVector)));
typedef int32_t Ints __attribute__((vector_size(4 * kVector)));
typedef int8_t Bytes __attribute__((vector_size(kVector)));

inline Floats Load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
inline void Store(float* to, Floats value) { *reinterpret_cast<Floats*>(to) = value; }
inline Ints LoadBytes(const int8_t* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, Ints);
}
inline void StoreBytes(int8_t* to, Ints value) {
  const Bytes bytes = __builtin_convertvector(value, Bytes);
  std::memcpy(to, &bytes, sizeof bytes);
}
// The larger; not-a-number wins, as in the arithmetic that this stands in for.
inline Floats Larger(Floats a, Floats b) { return ((a > b) | (a != a)) ? a : b; }

// Images with their batch cut to one task: [plane, row, column, lane], rows of `columns` pixels.
struct Planes {
  float* data;
  int64_t rows, columns;

  float* At(int64_t plane, int64_t row, int64_t column) const {
    return data + ((plane * rows + row) * columns + column) * kLanes;
  }
};

thread_local Scratch images_scratch, gradient_scratch, weights_scratch;

// Copy this task's images with `padding` zeros on every side.
Planes PaddedImages(const Shape& s, int64_t first, const float* x) {
  const int64_t rows = s.height + 2 * s.padding, columns = s.width + 2 * s.padding;
  const int64_t floats = s.channels * rows * columns * kLanes;
  const Planes planes{images_scratch.Floats(floats), rows, columns};
  if (s.padding) std::memset(planes.data, 0, floats * sizeof(float));
  for (int64_t c = 0; c < s.channels; ++c)
    for (int64_t row = 0; row < s.height; ++row) {
      const float* from = x + (c * s.height + row) * s.width * s.batch + first;
      float* to = planes.At(c, row + s.padding, s.padding);
      for (int64_t column = 0; column < s.width; ++column)
        std::memcpy(to + column * kLanes, from + column * s.batch, kLanes * sizeof(float));
    }
  return planes;
}

// Undo pooling and ReLU: each window's gradient at its winner, `border` zeros on every side.
Planes UnpooledGradient(const Shape& s, int64_t first, const float* d_y, const int8_t* winner,
                        int64_t border) {
  const int64_t rows = 2 * s.Rows() + 2 * border, columns = 2 * s.Columns() + 2 * border;
  const int64_t floats = s.filters * rows * columns * kLanes;
  const Planes planes{gradient_scratch.Floats(floats), rows, columns};
  if (border) std::memset(planes.data, 0, floats * sizeof(float));
  for (int64_t o = 0; o < s.filters; ++o)
    for (int64_t row = 0; row < s.Rows(); ++row)
      for (int64_t column = 0; column < s.Columns(); ++column) {
        const int64_t window = ((o * s.Rows() + row) * s.Columns() + column) * s.batch + first;
        for (int v = 0; v < kVectors; ++v) {
          const Floats given = Load(d_y + window + v * kVector);
          const Ints won = LoadBytes(winner + window + v * kVector);
          for (int place = 0; place < 4; ++place)
            Store(planes.At(o, 2 * row + place / 2 + border, 2 * column + place % 2 + border) +
                      v * kVector,
                  won == place ? given : Floats{});
        }
      }
  return planes;
}

// Sums over planes and taps for `kFilters` outputs at the four places of one 2x2 window.
// Weights lie as [plane, tap row, tap column, output].
template <int kFilters>
inline void Tile(const Planes& in, int64_t planes, int64_t row, int64_t column, int v,
                 const float* weight, Floats sums[kFilters][4]) {
  for (int o = 0; o < kFilters; ++o)
    for (int place = 0; place < 4; ++place) sums[o][place] = Floats{};
  for (int64_t plane = 0; plane < planes; ++plane)
    for (int i = 0; i < kKernel; ++i) {
      const float* upper = in.At(plane, row + i, column) + v * kVector;
      const float* lower = upper + in.columns * kLanes;
      for (int j = 0; j < kKernel; ++j) {
        const Floats p0 = Load(upper + j * kLanes), p1 = Load(upper + (j + 1) * kLanes);
        const Floats p2 = Load(lower + j * kLanes), p3 = Load(lower + (j + 1) * kLanes);
#pragma GCC unroll 6
        for (int o = 0; o < kFilters; ++o) {
          const float w = weight[o];
          sums[o][0] += p0 * w;
          sums[o][1] += p1 * w;
          sums[o][2] += p2 * w;
          sums[o][3] += p3 * w;
        }
        weight += kFilters;
      }
    }
}

template <int kFilters>
void ForwardTile(const Shape& s, int64_t first, const Planes& in, const float* weight,
                 const float* bias, int64_t o0, float* y, int8_t* winner) {
  for (int64_t row = 0; row < s.Rows(); ++row)
    for (int64_t column = 0; column < s.Columns(); ++column)
      for (int v = 0; v < kVectors; ++v) {
        Floats sums[kFilters][4];
        Tile<kFilters>(in, s.channels, 2 * row, 2 * column, v, weight, sums);
        for (int o = 0; o < kFilters; ++o) {
          const Floats upper = Larger(sums[o][0], sums[o][1]);
          const Floats lower = Larger(sums[o][2], sums[o][3]);
          const Floats value = Larger(upper, lower) + bias[o0 + o];
          const Ints in_lower = sums[o][3] > sums[o][2] ? Ints{} + 3 : Ints{} + 2;
          const Ints in_upper = sums[o][1] > sums[o][0] ? Ints{} + 1 : Ints{};
          const Ints won = lower > upper ? in_lower : in_upper;
          const int64_t at = (((o0 + o) * s.Rows() + row) * s.Columns() + column) * s.batch +
                             first + v * kVector;
          Store(y + at, value <= 0 ? Floats{} : value);
          StoreBytes(winner + at, value > 0 ? won : Ints{} + kNobody);
        }
      }
}

template <int kFilters>
void ImagesTile(const Shape& s, int64_t first, const Planes& gradient, const float* weight,
                int64_t c0, float* d_x) {
  for (int64_t row = 0; row < s.height; row += 2)
    for (int64_t column = 0; column < s.width; column += 2)
      for (int v = 0; v < kVectors; ++v) {
        Floats sums[kFilters][4];
        Tile<kFilters>(gradient, s.filters, row, column, v, weight, sums);
        for (int c = 0; c < kFilters; ++c)
          for (int place = 0; place < 4; ++place)
            Store(d_x + (((c0 + c) * s.height + row + place / 2) * s.width + column + place % 2) *
                            s.batch + first + v * kVector,
                  sums[c][place]);
      }
}

template <int kFilters>
void WeightsTile(const Shape& s, const Planes& in, const Planes& gradient, int64_t o0,
                 float* share) {
  for (int64_t c = 0; c < s.channels; ++c)
    for (int i = 0; i < kKernel; ++i) {
      Floats sums[kFilters][kKernel] = {};
      for (int64_t row = 0; row < gradient.rows; ++row) {
        const float* pixels = in.At(c, row + i, 0);
        const float* given = gradient.At(o0, row, 0);
        for (int64_t at = 0; at < gradient.columns * kLanes; at += kVector) {
          Floats d[kFilters];
#pragma GCC unroll 4
          for (int o = 0; o < kFilters; ++o)
            d[o] = Load(given + o * gradient.rows * gradient.columns * kLanes + at);
#pragma GCC unroll 5
          for (int j = 0; j < kKernel; ++j) {
            const Floats pixel = Load(pixels + at + j * kLanes);
#pragma GCC unroll 4
            for (int o = 0; o < kFilters; ++o) sums[o][j] += d[o] * pixel;
          }
        }
      }
      for (int o = 0; o < kFilters; ++o)
        for (int j = 0; j < kKernel; ++j) {
          float sum = 0;
          for (int lane = 0; lane < kVector; ++lane) sum += sums[o][j][lane];
          share[(((o0 + o) * s.channels + c) * kKernel + i) * kKernel + j] = sum;
        }
    }
}

constexpr int Least(int a, int b) { return a < b ? a : b; }

// Cut `count` outputs into nearly equal tiles of at most `kMost`; `call<size>(first)` for each.
template <int kMost, typename Call>
void ForTiles(int64_t count, const Call& call) {
  const int64_t tiles = (count + kMost - 1) / kMost;
  for (int64_t tile = 0, first = 0; tile < tiles; ++tile) {
    const int64_t size = (count - first) / (tiles - tile);
    switch (size) {
      case 1: call.template operator()<1>(first); break;
      case 2: call.template operator()<Least(2, kMost)>(first); break;
      case 3: call.template operator()<Least(3, kMost)>(first); break;
      case 4: call.template operator()<Least(4, kMost)>(first); break;
      case 5: call.template operator()<Least(5, kMost)>(first); break;
      default: call.template operator()<Least(6, kMost)>(first); break;
    }
    first += size;
  }
}

void Forward(const Shape& s, int64_t first, const float* x, const float* weight,
             const float* bias, float* y, int8_t* winner) {
  const Planes in = PaddedImages(s, first, x);
  float* packed = weights_scratch.Floats(s.Taps() * kTileFilters);
  ForTiles<kTileFilters>(s.filters, [&]<int kFilters>(int64_t o0) {
    for (int64_t tap = 0; tap < s.Taps(); ++tap)
      for (int o = 0; o < kFilters; ++o)
        packed[tap * kFilters + o] = weight[(o0 + o) * s.Taps() + tap];
    ForwardTile<kFilters>(s, first, in, packed, bias, o0, y, winner);
  });
}

void Images(const Shape& s, int64_t first, const float* d_y, const int8_t* winner,
            const float* weight, float* d_x) {
  constexpr int64_t kTaps = kKernel * kKernel;
  const Planes gradient = UnpooledGradient(s, first, d_y, winner, kKernel - 1 - s.padding);
  float* packed = weights_scratch.Floats(s.filters * kTaps * kTileFilters);
  ForTiles<kTileFilters>(s.channels, [&]<int kFilters>(int64_t c0) {
    // The convolution's transpose runs over the kernel from its end.
    for (int64_t o = 0; o < s.filters; ++o)
      for (int64_t tap = 0; tap < kTaps; ++tap)
        for (int c = 0; c < kFilters; ++c)
          packed[(o * kTaps + tap) * kFilters + c] =
              weight[(o * s.channels + c0 + c) * kTaps + kTaps - 1 - tap];
    ImagesTile<kFilters>(s, first, gradient, packed, c0, d_x);
  });
}

void Weights(const Shape& s, int64_t first, const float* d_y, const int8_t* winner,
             const float* x, float* share) {
  const Planes in = PaddedImages(s, first, x);
  const Planes gradient = UnpooledGradient(s, first, d_y, winner, 0);
  ForTiles<kShareFilters>(s.filters, [&]<int kFilters>(int64_t o0) {
    WeightsTile<kFilters>(s, in, gradient, o0, share);
  });
  const int64_t windows = s.Rows() * s.Columns();
  for (int64_t o = 0; o < s.filters; ++o) {
    Floats sums{};
    for (int64_t window = o * windows; window < (o + 1) * windows; ++window)
      for (int v = 0; v < kVectors; ++v) {
        const int64_t at = window * s.batch + first + v * kVector;
        sums += LoadBytes(winner + at) != kNobody ? Load(d_y + at) : Floats{};
      }
    float sum = 0;
    for (int lane = 0; lane < kVector; ++lane) sum += sums[lane];
    share[s.filters * s.Taps() + o] = sum;
  }
}

}  // namespace

extern const Tiles kTiles{Forward, Images, Weights};

}  // namespace ORIEL_TARGET
