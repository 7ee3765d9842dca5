// The matrix product as an XLA custom call: checks shapes, picks the instruction set, shares out
// rows or columns of the result.

#include <algorithm>

#include "products.h"
#include "tasks.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

using Numbers = ffi::Buffer<ffi::F32, 2>;

Matrix Seen(const Numbers& buffer, bool is_turned) {
  const int64_t width = buffer.dimensions()[1];
  return is_turned ? Matrix{buffer.typed_data(), 1, width} : Matrix{buffer.typed_data(), width, 1};
}

ffi::Error Multiply(ffi::ThreadPool pool, Numbers a, Numbers b, ffi::Result<Numbers> c,
                    bool a_is_turned, bool b_is_turned) {
  const int64_t rows = c->dimensions()[0], columns = c->dimensions()[1];
  const int64_t depth = a.dimensions()[a_is_turned ? 0 : 1];
  if (a.dimensions()[a_is_turned ? 1 : 0] != rows || b.dimensions()[b_is_turned ? 1 : 0] != depth ||
      b.dimensions()[b_is_turned ? 0 : 1] != columns)
    return ffi::Error::InvalidArgument("the matrices do not fit each other");
  const Products& products =
      __builtin_cpu_supports("avx512f") ? avx512::kProducts : avx2::kProducts;
  const Matrix left = Seen(a, a_is_turned), right = Seen(b, b_is_turned);
  // Panels stay whole; of rows and columns the longer side is cut, so that less is packed twice.
  const bool by_columns = columns >= rows;
  const int64_t unit = by_columns ? products.panel : 1;
  const int64_t units = ((by_columns ? columns : rows) + unit - 1) / unit;
  const int64_t tasks = std::min(units, static_cast<int64_t>(pool.num_threads()));
  ForEachTask(pool, tasks, [&](int64_t task) {
    const int64_t from = units * task / tasks * unit, to = units * (task + 1) / tasks * unit;
    const Part part = by_columns ? Part{0, rows, from, std::min(to, columns)}
                                 : Part{from, to, 0, columns};
    products.multiply(left, right, depth, columns, part, c->typed_data());
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(oriel_multiply, Multiply,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Numbers>()
                                  .Arg<Numbers>()
                                  .Ret<Numbers>()
                                  .Attr<bool>("a_is_turned")
                                  .Attr<bool>("b_is_turned"));
