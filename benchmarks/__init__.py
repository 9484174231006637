"""What the simulator costs, as ratios measured in one run, and the bounds they shall keep.

    python -m benchmarks [--quick] [--json FILE]

| target | bound | module |
|---|---|---|
| 1 | a validated create costs 1.8 ×, a page of 50 1.9 × of the same Flask app without validation | serving |
| 2 | a check costs a 20th (create) and a 50th (page of 50) of stock openapi-core | validation |
| 3 | the compiled checks accept nothing that openapi-core refuses, while every control does | validation |
| 5 | the time from process start to the first 200 is 2.5 × that of a bare Flask app | start |
| 8 | a reset costs 0.05 × of seeding again; a fork costs the same whatever the number of rows | cloning |
| 9 | the clock is as fast as SimPy; 30 days of 10,000 VMs cost 0.01 × of a loop by the minute | passing |
| 10 | create, get, stop and a page of 50 cost the same among 100 and 100,000 VMs, within 1.3 × | growth |
| 10 | a page of any other list too | lists |
| 11 | a VM takes 1.2 × the memory of a dataclass with slots and the same fields | memory |

To add a comparison, write a function that yields `Comparison`s and list it in `__main__`.
"""
