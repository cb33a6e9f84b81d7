"""Just-in-time, dependency-caching render runtime for Nuke on Google Cloud."""

__version__ = "0.1.0"
