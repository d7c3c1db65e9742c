"""What happens to a run when its machine, its network or its files misbehave, counted.

::

    python -m benchmarks.reliability kills --times 100
    python -m benchmarks.reliability s3 --times 200
    python -m benchmarks.reliability fuzz --times 10000
    python -m benchmarks.reliability cost
"""
