"""The public test kit: fakes that behave. Never imported by the runtime."""
