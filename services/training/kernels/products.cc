// Matrix product with a tile of the result in registers; compiled once for each instruction set.
//
// The loops of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008): a
// block of rows is laid out tile by tile so that it stays in the second cache, a panel of columns
// so that it is read from end to end for each tile of rows.

#include "products.h"

#include <cstring>
#include <utility>

#include "scratch.h"

namespace ORIEL_TARGET {
namespace {

#ifdef __AVX512F__
constexpr int kVector = 16;    // floats in a register
constexpr int kTileRows = 14;  // 14 * 2 sums, a panel's two vectors and a number fit into 32 registers
#else
constexpr int kVector = 8;
constexpr int kTileRows = 6;
#endif
constexpr int kPanel = 2 * kVector;
constexpr int64_t kDepth = 512;                   // products that are added up in registers
constexpr int64_t kBlockRows = 36 * kTileRows;

typedef float Floats __attribute__((vector_size(4 * kVector)));

inline Floats Load(const float* from) {
  Floats value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void Store(float* to, Floats value) { std::memcpy(to, &value, sizeof value); }

// Not `std::min`: the linker keeps one copy of that for all instruction sets.
inline int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }

thread_local Scratch rows_scratch, panel_scratch;

// Swap places `step` apart within two lines with those across them, as a transposition does.
template <int step, size_t... places>
inline void Swap(Floats& low, Floats& high, std::index_sequence<places...>) {
  const Floats a = low, b = high;
  low = __builtin_shufflevector(a, b, (places & step ? kVector + places - step : places)...);
  high = __builtin_shufflevector(a, b, (places & step ? kVector + places : places + step)...);
}

template <int step = 1>
inline void Transpose(Floats lines[kVector]) {
  for (int line = 0; line < kVector; ++line)
    if (!(line & step))
      Swap<step>(lines[line], lines[line + step], std::make_index_sequence<kVector>());
  if constexpr (2 * step < kVector) Transpose<2 * step>(lines);
}

// Lay `count` lines of `depth` numbers side by side: number `k` of line `i` at `k * width + i`.
// What is beside the lines is overwritten, up to a vector.
inline void Interleave(const float* from, int64_t step, int64_t count, int64_t depth, int64_t width,
                       float* to) {
  int64_t k = 0;
  for (; k + kVector <= depth; k += kVector) {
    Floats lines[kVector] = {};
    for (int64_t i = 0; i < count; ++i) lines[i] = Load(from + i * step + k);
    Transpose(lines);
    for (int i = 0; i < kVector; ++i) Store(to + (k + i) * width, lines[i]);
  }
  for (; k < depth; ++k)
    for (int64_t i = 0; i < count; ++i) to[k * width + i] = from[i * step + k];
}

// The first `count` numbers of each of `depth` lines, line after line.
inline void Gather(const float* from, int64_t step, int64_t count, int64_t depth, int64_t width,
                   float* to) {
  for (int64_t k = 0; k < depth; ++k)
    std::memcpy(to + k * width, from + k * step, count * sizeof(float));
}

template <int kRows>
void PackRows(const Matrix& a, int64_t row, int64_t first, int64_t depth, float* to) {
  const float* from = a.data + row * a.down + first * a.along;
  if (a.down == 1) {
    Gather(from, a.along, kRows, depth, kRows, to);
  } else {
    Interleave(from, a.down, kRows, depth, kRows, to);
  }
}

void PackPanel(const Matrix& b, int64_t first, int64_t depth, int64_t column, int64_t width,
               float* to) {
  const float* from = b.data + first * b.down + column * b.along;
  if (width < kPanel) std::memset(to, 0, depth * kPanel * sizeof(float));
  if (b.along == 1 && width == kPanel) {
    Gather(from, b.down, kPanel, depth, kPanel, to);
  } else if (b.along == 1) {
    Gather(from, b.down, width, depth, kPanel, to);
  } else {
    for (int64_t half = 0; half < width; half += kVector)
      Interleave(from + half * b.along, b.along, Least(kVector, width - half), depth, kPanel,
                 to + half);
  }
}

// Add to `kRows` rows of the result, `step` apart, what `depth` numbers of them and of a panel give.
template <int kRows>
void Tile(const float* rows, const float* panel, int64_t depth, bool is_first, float* to,
          int64_t step) {
  Floats sums[kRows][2] = {};
  if (!is_first)
    for (int row = 0; row < kRows; ++row) {
      sums[row][0] = Load(to + row * step);
      sums[row][1] = Load(to + row * step + kVector);
    }
  for (int64_t k = 0; k < depth; ++k, panel += kPanel, rows += kRows) {
    const Floats left = Load(panel), right = Load(panel + kVector);
#pragma GCC unroll 14
    for (int row = 0; row < kRows; ++row) {
      sums[row][0] += left * rows[row];
      sums[row][1] += right * rows[row];
    }
  }
  for (int row = 0; row < kRows; ++row) {
    Store(to + row * step, sums[row][0]);
    Store(to + row * step + kVector, sums[row][1]);
  }
}

// The same where the result has only `width` columns left.
template <int kRows>
void EdgeTile(const float* rows, const float* panel, int64_t depth, bool is_first, float* to,
              int64_t step, int64_t width) {
  alignas(64) float whole[kRows * kPanel] = {};
  for (int row = 0; row < kRows; ++row)
    std::memcpy(whole + row * kPanel, to + row * step, width * sizeof(float));
  Tile<kRows>(rows, panel, depth, is_first, whole, kPanel);
  for (int row = 0; row < kRows; ++row)
    std::memcpy(to + row * step, whole + row * kPanel, width * sizeof(float));
}

template <int kMost, typename Call>
void WithRows(int64_t rows, const Call& call) {
  if (rows == kMost) {
    call.template operator()<kMost>();
  } else if constexpr (kMost > 1) {
    WithRows<kMost - 1>(rows, call);
  }
}

// Cut rows into nearly equal tiles; `call<rows>(first)` for each.
template <typename Call>
void ForTiles(int64_t row, int64_t end, const Call& call) {
  const int64_t tiles = (end - row + kTileRows - 1) / kTileRows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t rows = (end - row) / (tiles - tile);
    WithRows<kTileRows>(rows, [&]<int kRows>() { call.template operator()<kRows>(row); });
    row += rows;
  }
}

void Multiply(const Matrix& a, const Matrix& b, int64_t depth, int64_t columns, const Part& part,
              float* c) {
  float* panel = panel_scratch.Floats(kDepth * kPanel);
  float* rows = rows_scratch.Floats(kDepth * kBlockRows + kVector);
  for (int64_t block = part.row; block < part.row_end; block += kBlockRows) {
    const int64_t end = Least(block + kBlockRows, part.row_end);
    for (int64_t first = 0; first < depth; first += kDepth) {
      const int64_t some = Least(kDepth, depth - first);
      ForTiles(block, end, [&]<int kRows>(int64_t row) {
        PackRows<kRows>(a, row, first, some, rows + (row - block) * some);
      });
      for (int64_t column = part.column; column < part.column_end; column += kPanel) {
        const int64_t width = Least(kPanel, part.column_end - column);
        PackPanel(b, first, some, column, width, panel);
        ForTiles(block, end, [&]<int kRows>(int64_t row) {
          const float* mine = rows + (row - block) * some;
          float* to = c + row * columns + column;
          if (width == kPanel) {
            Tile<kRows>(mine, panel, some, first == 0, to, columns);
          } else {
            EdgeTile<kRows>(mine, panel, some, first == 0, to, columns, width);
          }
        });
      }
    }
  }
}

}  // namespace

extern const Products kProducts{Multiply, kPanel};

}  // namespace ORIEL_TARGET
