"""What the project is measured by: ``python -m benchmarks`` (see docs/performance.md)."""
