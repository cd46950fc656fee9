"""NSC-Bench: tables of blocks that were really trained, on which searches are judged afterwards.

``docs/nsc_bench.md`` is their data sheet. Run the modules from ``benchmarks/``.
"""
