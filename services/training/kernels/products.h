// What the bindings ask of each instruction set's form of the matrix product.
#pragma once

#include <cstdint>

// Numbers at `row * down + column * along`; one of the two is 1.
struct Matrix {
  const float* data;
  int64_t down, along;
};

// A part of a product.
struct Part {
  int64_t row, row_end, column, column_end;
};

struct Products {
  // A part of `a @ b`, each of whose numbers is a sum of `depth` products; `c` lies row by row and
  // is `columns` wide. What a number is does not depend on the part that it is computed with.
  void (*multiply)(const Matrix& a, const Matrix& b, int64_t depth, int64_t columns,
                   const Part& part, float* c);
  int64_t panel;  // columns that are computed together
};

namespace avx512 {
extern const Products kProducts;
}
namespace avx2 {
extern const Products kProducts;
}
