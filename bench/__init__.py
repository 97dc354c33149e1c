"""The benchmarks: one JSON line a figure, measured on a product of its own. Peers and limits of the machine: docs/benchmarks.md."""
