"""Flags under which XLA compiles several times faster, to programs that run slower.

Compiling is most of the time of tests that train small models, and the same for fast programs as
for slow ones. XLA reads its flags when JAX starts.

Two programs that compute the same by different ways differ more in their last digits than with
XLA's own choices; where that has to stay below nine digits over many steps of Adam, as in the tests
of `spmd`, the first flag is left out.
"""

QUICK_COMPILER = (
    "--xla_cpu_use_fusion_emitters=false "
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
