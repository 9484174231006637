"""What the simulator costs, as ratios measured in one run, and the bounds they shall keep.

    python -m benchmarks [--quick] [--record]

| target | bound | module |
|---|---|---|
| 1 | a validated create costs 1.8 ×, a page of 50 1.9 × of the same Flask app without validation | serving |
| 2 | a check costs a 20th (create) and a 50th (page of 50) of stock openapi-core | validation |
| 3 | the compiled checks accept nothing that openapi-core refuses, while every control does | validation |
| 4 | over HTTP: 1.67 × a bare Flask app; half of Prism, a 25th (page), 12th (create) of moto | network |
| 5 | the time from process start to the first 200 is 2.5 × that of a bare Flask app, 0.4 × Prism's | start |
| 6 | a run of pytest with the plugin costs 1.1 × one without it | plugin |
| 7 | a world, a client and a create cost half of entering and leaving moto's mock_aws | plugin |
| 8 | a reset costs 0.05 × of seeding again; a fork costs the same whatever the number of rows | cloning |
| 9 | the clock is as fast as SimPy; 30 days of 10,000 VMs cost 0.01 × of a loop by the minute | passing |
| 10 | create, get, stop and a page of 50 cost the same among 100 and 100,000 VMs, within 1.3 × | growth |
| 10 | a page of any other list too | lists |
| 11 | a VM takes 1.2 × the memory of a dataclass with slots and the same fields | memory |

`curves` has no bounds: it shows how costs grow with the number of VMs and of worlds. `calls` times typical
calls with pyperf, to be compared with those of another commit.

To add a comparison, write a function that yields `Comparison`s and list it in `__main__`.
"""
