"""fall-from-grace: watches processes that it did not start, and acts when rules say so."""

__version__ = "1.0.0.dev1"
