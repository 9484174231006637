"""Scenarios: documents that say how a world begins, what goes wrong in it, what happens when, and what is
expected to be so in the end.

`document` is the form, `rules` reads faults, `timeline` what happens, `expectations` what is expected.
"""
