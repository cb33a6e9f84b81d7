"""The public test kit: fakes that behave, and the suites that every implementation of a port must pass.

Never imported by the runtime.
"""
